"""What a request does to the items of one partition, alone or in a transactional batch."""

from local.cosmos import patch
from local.cosmos.documents import Container, Document, Partition, check_id, dump_json
from local.cosmos.errors import CosmosError, not_found, not_supported
from local.cosmos.query import Query
from local.cosmos.store import Store

MAX_BATCH_OPERATIONS = 100
PARTITION_KEY_MISMATCH = 1001  # sub-status


class Items:
    """The items of a partition; an operation is one of a batch, as the SDK writes it, or alone."""

    def __init__(self, store: Store, container: Container, partition: Partition) -> None:
        self.store = store
        self.container = container
        self.partition = partition

    def perform(self, operation: Document) -> tuple[int, Document | None]:
        """Perform an operation within a transaction; return status and item."""
        kind, body = operation["operationType"], operation.get("resourceBody", {})
        item_id = operation.get("id") or check_id(body)
        old = self.store.find(self.container, self.partition, item_id)
        if not old and kind not in ("Create", "Upsert"):
            raise not_found()
        if old and operation.get("ifMatch") not in (None, "*", old["_etag"]):
            raise CosmosError(412, "One of the specified pre-condition is not met.")
        if operation.get("ifNoneMatch") and kind != "Read":
            raise not_supported("If-None-Match on a write")
        match kind:
            case "Read":
                return (304, None) if old and operation.get("ifNoneMatch") == old["_etag"] else (200, old)
            case "Delete":
                self.store.delete(self.container, self.partition, item_id)
                return 204, None
            case "Create" if old:
                raise CosmosError(409, "Entity with the specified id already exists in the system.")
            case "Patch" if old:
                self._check_condition(item_id, body.get("condition"))
                body = patch.apply(old, body.get("operations", []))
            case _ if kind not in ("Create", "Upsert", "Replace"):
                raise not_supported(f"the batch operation {kind}")
        if check_id(body) != item_id or self.container.partition_of(body) != self.partition:
            message = "Id or partition key of the document differs from that of the request."
            raise CosmosError(400, message, PARTITION_KEY_MISMATCH)
        return 200 if old else 201, self.store.write(self.container, self.partition, body, old)

    def batch(self, operations: list[Document]) -> list[Document]:
        """Perform the operations of a batch within a transaction; an answer 207 ends it if one fails."""
        if not 0 < len(operations) <= MAX_BATCH_OPERATIONS:
            raise CosmosError(400, f"A batch has 1 to {MAX_BATCH_OPERATIONS} operations.")
        dump_json(operations)  # refuses more than a document may hold
        results: list[Document] = []
        for operation in operations:
            try:
                status, item = self.perform(operation)
            except CosmosError as error:
                failed: list[Document] = [{"statusCode": 424, "requestCharge": 1} for _ in operations]
                failed[len(results)] |= {"statusCode": error.status, "message": str(error)}
                raise CosmosError(207, "An operation of the batch failed.", content=failed) from error
            result = {"statusCode": status, "requestCharge": 1}
            results.append(result | ({"eTag": item["_etag"], "resourceBody": item} if item else {}))
        return results

    def _check_condition(self, item_id: str, condition: str | None) -> None:
        if condition is None:
            return
        query = Query(condition, {}, self.container, start="predicate")
        self.store.add_columns(self.container, query.generated)
        statement = (
            f"SELECT 1 FROM {self.container.table}"  # noqa: S608 - its own name, and query.py's SQL
            f" WHERE partition = :partition AND id = :id AND {query.where[0]}"
        )
        address = {"partition": self.partition.text, "id": item_id}
        if not self.store.execute(self.container, statement, query.bound | address).fetchone():
            raise CosmosError(412, "One of the specified pre-condition is not met.")
