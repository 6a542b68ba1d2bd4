"""All routes of the app."""

from functions import audio, documentation, jobs, pages, stems, worker_api
from functions.http import Api
from functions.services import Services


def build_api(services: Services) -> Api:
    """Return the app's routes."""
    api = Api(services.settings)
    for module in (audio, stems, jobs, worker_api, pages, documentation):
        module.add_routes(api, services)
    return api
