#!/bin/sh
# After provisioning: gives the people in STEM_LIBRARY_USERS the app roles Read and Write, or Read alone.
#   azd env set STEM_LIBRARY_USERS 'ana@contoso.com ben@contoso.com=Read'
# Whoever ran azd has both already (infra/modules/roles.bicep). Taking a role away is done in Entra.
set -eu

: "${SIGN_IN_SERVICE_PRINCIPAL_ID:?}"
graph=https://graph.microsoft.com/v1.0

role_id() {
    az rest --method get --url "$graph/servicePrincipals/$SIGN_IN_SERVICE_PRINCIPAL_ID" \
        --query "appRoles[?value=='$1'].id | [0]" --output tsv
}

grant() {
    user_id=$1
    app_role_id=$(role_id "$2")
    held=$(az rest --method get --url "$graph/users/$user_id/appRoleAssignments" \
        --query "value[?appRoleId=='$app_role_id' && resourceId=='$SIGN_IN_SERVICE_PRINCIPAL_ID'] | length(@)" --output tsv)
    if [ "$held" -gt 0 ]; then
        return
    fi
    az rest --method post --url "$graph/servicePrincipals/$SIGN_IN_SERVICE_PRINCIPAL_ID/appRoleAssignedTo" --output none \
        --body "{\"principalId\": \"$user_id\", \"resourceId\": \"$SIGN_IN_SERVICE_PRINCIPAL_ID\", \"appRoleId\": \"$app_role_id\"}"
}

for entry in ${STEM_LIBRARY_USERS:-}; do
    user=${entry%%=*}
    case $entry in
        *=Read) roles=Read ;;
        *=*) echo "STEM_LIBRARY_USERS: $entry: after = only Read can stand" >&2; exit 1 ;;
        *) roles='Read Write' ;;
    esac
    user_id=$(az ad user show --id "$user" --query id --output tsv)
    for role in $roles; do
        grant "$user_id" "$role"
    done
    echo "$user has $roles"
done
