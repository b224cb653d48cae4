"""What a fleet's file holds is laid out as a pod has it, and follows the file."""

from pathlib import Path

from voicefleet.cli.local.key_material import make_key_material


def test_a_config_map_is_a_directory_of_its_entries(tmp_path: Path) -> None:
    material = make_key_material(tmp_path, "demo")
    directory = material.write_config_map("code", {"a.py": b"1", "b.py": b"2"})
    (directory / "__pycache__").mkdir()  # of who imports it
    kept = (directory / "b.py").stat()
    assert material.write_config_map("code", {"a.py": b"3", "b.py": b"2"}) == directory
    assert (directory / "a.py").read_bytes() == b"3"
    assert (directory / "b.py").stat() == kept, "what has not changed is not loaded anew"
    material.write_config_map("code", {"b.py": b"2"})
    assert {path.name for path in directory.iterdir()} == {"b.py", "__pycache__"}
