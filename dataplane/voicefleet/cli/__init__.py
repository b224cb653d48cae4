"""The `voicefleet` command."""


def main() -> int:
    """Run the `voicefleet` command."""
    from voicefleet.cli.command import run

    return run()
