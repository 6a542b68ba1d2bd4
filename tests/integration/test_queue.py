"""What the app asks of the queue itself."""

import asyncio
from pathlib import Path

import pytest
from azure.servicebus.exceptions import ServiceBusError

from local.process import Program, free_port
from local.resources import SERVICE_BUS_FILE
from shared.storage.queue import AnalysisQueue


async def test_a_queue_that_has_gone_is_noticed(tmp_path: Path):
    """Also by a process that has spoken to it before."""
    port = free_port()
    arguments = ("--port", str(port), "--config", str(SERVICE_BUS_FILE), "--data", str(tmp_path))
    program = Program.module("service-bus", "local.service_bus", *arguments).wait_ready()
    connection = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=x;SharedAccessKey=eA==;"
    queue = AnalysisQueue(
        connection=f"{connection}UseDevelopmentEmulator=true;", namespace=None, queue_name="analysis-jobs"
    )
    for _ in range(2):
        await queue.ping()
    program.kill()
    with pytest.raises((ServiceBusError, TimeoutError)):
        await asyncio.wait_for(queue.ping(), 5)
    await queue.close()
