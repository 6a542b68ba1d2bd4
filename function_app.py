"""Composition root: builds the services once and registers the blueprints."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions import audio, job_cleanup, jobs, on_upload, pages, stems, sweeps, worker_api
from functions.services import Services
from shared.settings import load_settings

# Otherwise the SDKs log every request with its headers.
logging.getLogger("azure").setLevel(logging.WARNING)

services = Services.build(load_settings())

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for module in (audio, stems, jobs, worker_api, on_upload, job_cleanup, sweeps, pages):
    app.register_functions(module.blueprint(services))
