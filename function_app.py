"""Composition root: builds the services once and registers what they serve."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions import job_cleanup, on_upload, sweeps
from functions.api import build_api
from functions.services import Services
from shared import telemetry
from shared.settings import load_settings

# Otherwise the SDKs log every request with its headers.
logging.getLogger("azure").setLevel(logging.WARNING)

settings = load_settings()
telemetry.set_up("stem-library-api", settings)
services = Services.build(settings)

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for module in (on_upload, job_cleanup, sweeps):
    app.register_functions(module.blueprint(services))
app.register_functions(build_api(services))
