"""The operator process: kopf watches, the controller acts while the lease is held, until SIGTERM."""

import asyncio
import logging
import os
import signal
import sys

import kopf

from voicefleet_operator.handlers import watches
from voicefleet_operator.health import Health
from voicefleet_operator.kube.cluster import Cluster
from voicefleet_operator.kube.endpoints import POD_MONITOR
from voicefleet_operator.kube.lease import Leadership
from voicefleet_operator.model.resources import Installation
from voicefleet_operator.reconcile.controller import Controller
from voicefleet_operator.reconcile.measured import Measured
from voicefleet_operator.reconcile.watched import watched
from voicefleet_operator.settings import SettingError, Settings, read

_log = logging.getLogger(__name__)


async def operate(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    cluster = await Cluster.connect(settings.kubeconfig)
    try:
        here = Installation(settings.image, settings.namespace, await cluster.serves(POD_MONITOR))
        measured = Measured()
        controller = Controller(cluster, here, measured, namespaces=settings.namespaces)
        health = Health(measured.registry, controller.obstacles_to_life)
        leadership = Leadership(
            cluster,
            settings.namespace,
            settings.lease,
            settings.identity,
            lead=controller.lead,
            follow=controller.follow,
        )
        listed, stopping, kopf_stops = asyncio.Event(), asyncio.Event(), asyncio.Event()
        async with health.served(settings.health_listen), asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(
                kopf.operator(
                    registry=_registry(controller),
                    settings=watches.settings(watched(here)),
                    standalone=True,
                    clusterwide=not settings.namespaces,
                    namespaces=settings.namespaces,
                    stop_flag=kopf_stops,
                    ready_flag=listed,
                )
            )
            await listed.wait()
            # kopf has taken the signals; they are ours, since the lease is to be given back before anything ends.
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopping.set)
            # What is not seen yet would be taken for missing.
            await controller.relist()
            health.sees = True
            _log.info("stands by as %s", settings.identity)
            acting = [tasks.create_task(controller.run()), tasks.create_task(leadership.run())]
            stopped = tasks.create_task(stopping.wait())
            await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
            await leadership.give_back()
            for task in (*acting, stopped):
                task.cancel()
            kopf_stops.set()
    finally:
        await cluster.close()


def _registry(controller: Controller) -> kopf.OperatorRegistry:
    kinds = watched(controller.context.here)
    handlers = watches.registry(kinds, lambda document, gone: controller.seen(document, gone=gone))
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
