"""What a shard's new pods have shown, from the Deployment, its pods and what these say of their calls."""

from collections.abc import Mapping
from typing import Any, Final

from voicefleet.contract import Label
from voicefleet_operator.api.conditions import Condition, ConditionType, condition, moment
from voicefleet_operator.model.pod import TEMPLATE_HASH
from voicefleet_operator.model.resources import Shard
from voicefleet_operator.model.shard_rollouts import Taker, Verdict, is_held, observed, verdict
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.store import Document
from voicefleet_operator.reconcile.transceivers import Calls

NO_CALLS: Final = "NewPodsGetNoCalls"
SHOWN: Final = 3
"""New pods that are named."""


def trial(
    context: Context,
    shard: Shard,
    deployment: Document | None,
    documents: list[Document],
    calls: Mapping[str, Calls | None],
) -> Verdict:
    """Whether old pods may go, as far as is known by now."""
    key = (shard.kind, shard.namespace, shard.name)
    if deployment is None or all(is_newest(each, deployment) for each in documents):
        context.trials.pop(key, None)
        return Verdict.GO_ON
    takers, now = [_taker(each, deployment, calls) for each in documents if _takes_calls(each)], context.clock()
    patience = shard.spec.rollout.patience
    found = observed(context.trials.get(key), template_of(deployment), takers, patience, now)
    context.trials[key] = found
    stopped = is_held(deployment) and any(each.reason == NO_CALLS for each in shard.status.conditions)
    return verdict(found, takers, stopped, patience, now)


def template_of(deployment: Mapping[str, Any]) -> str:
    """The digest of the template that its pods are made from."""
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(TEMPLATE_HASH, ""))


def is_newest(pod: Document, deployment: Document) -> bool:
    """Whether the pod was made from the template that the Deployment has now."""
    return str((pod["metadata"].get("annotations") or {}).get(TEMPLATE_HASH, "")) == template_of(deployment)


def ready_since(pod: Document) -> float | None:
    """When it became ready; None when it is not."""
    for each in pod.get("status", {}).get("conditions") or ():
        if each.get("type") == "Ready" and each.get("status") == "True":
            made = pod["metadata"]["creationTimestamp"]
            return max(moment(made), moment(each.get("lastTransitionTime") or made))
    return None


def trial_conditions(found: Verdict, new: list[str]) -> dict[str, Condition]:
    """What else is to be said of Progressing and Degraded."""
    if found is Verdict.GO_ON:
        return {}
    names = ", ".join(sorted(new)[:SHOWN]) + (f" and {len(new) - SHOWN} more" if len(new) > SHOWN else "")
    if found is Verdict.HOLD:
        message = f"old pods stay until {names} get a first call, or no more calls begin on old ones"
        return {ConditionType.PROGRESSING: condition(ConditionType.PROGRESSING, True, "AwaitsCalls", message)}
    message = (
        f"calls begin on old pods and none on {names}: the old ones stay. See kubectl logs of the new ones and of "
        "signaling; then mend spec, put the last one back, or go on regardless with spec.rollout.patience: 0s"
    )
    return {
        ConditionType.PROGRESSING: condition(ConditionType.PROGRESSING, False, NO_CALLS, message),
        ConditionType.DEGRADED: condition(ConditionType.DEGRADED, True, NO_CALLS, message),
    }


def _takes_calls(pod: Document) -> bool:
    return ready_since(pod) is not None and Label.DRAIN not in (pod["metadata"].get("annotations") or {})


def _taker(pod: Document, deployment: Document, calls: Mapping[str, Calls | None]) -> Taker:
    name = pod["metadata"]["name"]
    said = calls.get(name)
    return Taker(name, is_newest(pod, deployment), ready_since(pod) or 0.0, said.ages if said is not None else {})
