"""The operator process: kopf watches, the controller acts, until SIGTERM."""

import asyncio
import logging
import os
import sys

import kopf

from voicefleet_operator.handlers import watches
from voicefleet_operator.kube.cluster import Cluster
from voicefleet_operator.kube.endpoints import POD_MONITOR
from voicefleet_operator.model.resources import Installation
from voicefleet_operator.reconcile.controller import Controller
from voicefleet_operator.settings import SettingError, Settings, read


async def operate(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    cluster = await Cluster.connect(settings.kubeconfig)
    try:
        here = Installation(settings.image, settings.namespace, await cluster.serves(POD_MONITOR))
        controller = Controller(cluster, here, namespaces=settings.namespaces)
        watching = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            kopf_runs = tasks.create_task(
                kopf.operator(
                    registry=_registry(controller),
                    settings=watches.settings(),
                    standalone=True,
                    clusterwide=not settings.namespaces,
                    namespaces=settings.namespaces,
                    ready_flag=watching,
                )
            )
            controls = tasks.create_task(_control(controller, watching))
            await kopf_runs  # which takes SIGTERM and SIGINT for itself, and ends
            controls.cancel()
    finally:
        await cluster.close()


async def _control(controller: Controller, watching: asyncio.Event) -> None:
    """Lead from when everything has been listed: what is not seen yet would be taken for missing."""
    await watching.wait()
    await controller.relist()
    controller.lead()
    await controller.run()


def _registry(controller: Controller) -> kopf.OperatorRegistry:
    handlers = watches.registry(lambda document, gone: controller.seen(document, gone=gone))
    kopf.on.login(registry=handlers)(_login)
    return handlers


def _login(**arguments: object) -> kopf.ConnectionInfo | None:
    """As the official client would, by the same file or the same pod."""
    return kopf.login_with_kubeconfig(**arguments) or kopf.login_with_service_account(**arguments)  # type: ignore[arg-type]


def main() -> None:
    """The entry point."""
    try:
        settings = read(dict(os.environ))
    except SettingError as error:
        sys.exit(f"voicefleet_operator: {error}")
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    asyncio.run(operate(settings))


if __name__ == "__main__":
    main()
