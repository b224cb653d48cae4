"""API keys come from a mounted Secret, and a mistake in one is said by name, without its content."""

import hashlib
from pathlib import Path

import pytest

from voicefleet.services.signaling.api_keys import ApiKeysError, read_api_keys

KEY = "vf-0123456789abcdef"


def test_keys_are_known_by_their_file_name_in_plain_and_as_a_hash(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text(KEY + "\n")
    (tmp_path / "desk").write_text("sha256:" + hashlib.sha256(b"another-key-of-ours").hexdigest())
    keys = read_api_keys(tmp_path)
    assert keys.owner(KEY) == "shop"
    assert keys.owner("another-key-of-ours") == "desk"
    assert keys.owner("sha256:" + hashlib.sha256(b"another-key-of-ours").hexdigest()) is None
    assert KEY not in repr(keys)


def test_the_links_that_kubernetes_puts_into_a_mounted_secret_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "..2026_11_21").mkdir()
    (tmp_path / "..2026_11_21" / "shop").write_text(KEY)
    (tmp_path / "..data").symlink_to("..2026_11_21")
    (tmp_path / "shop").symlink_to("..data/shop")
    assert list(read_api_keys(tmp_path).names.values()) == ["shop"]


@pytest.mark.parametrize(
    "content", ["short", "ek_0123456789abcdef", "sha256:zz", "0123456789 abcdef", "schlüssel-0123456789", ""]
)
def test_an_unusable_key_is_refused_by_name_and_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "shop").write_text(content)
    with pytest.raises(ApiKeysError, match="shop") as caught:
        read_api_keys(tmp_path)
    assert not content or content not in str(caught.value)


def test_the_same_key_under_two_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(KEY)
    (tmp_path / "b").write_text(KEY)
    with pytest.raises(ApiKeysError, match="same key as a"):
        read_api_keys(tmp_path)
