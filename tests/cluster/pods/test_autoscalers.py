"""Autoscalers that are not ours work on shards and pools by their /scale."""

from tests.support.kubernetes.voice import PROJECT, Voice


def test_a_horizontal_pod_autoscaler_reads_the_scale_of_a_shard(voice: Voice) -> None:
    voice.k("apply", "--server-side", "-f", str(PROJECT / "docs" / "examples" / "autoscaling" / "hpa.yaml"))
    try:
        # It has no adapter here, so it decides nothing; but it has found the shard's /scale and would write it.
        voice.k("wait", "--for=condition=AbleToScale", "hpa/main", "--timeout=120s")
        assert voice.get("hpa/main")["status"]["currentReplicas"] == 2
    finally:
        voice.k("delete", "hpa/main")
