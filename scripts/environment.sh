# Sourced by the scripts: goes to the project's root; `environment` makes the virtual environment .venv as the locks say:
# all that the project is developed with, or after `environment to_run` only what it runs on.
#
# A stamp in .venv holds the digest of what it was made from, so a second run only compares. Only one process installs
# at a time. With VF_INSTALL=1 and as root, missing system parts are installed by apt; otherwise one line says which they
# are. (Not VOICEFLEET_...: a service refuses variables of that name that it does not know.)
set -euo pipefail
started_in=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s: %s\n' "${0#"$PWD"/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# need_packages WHAT PACKAGE...: installs them where that was asked for, else ends with the line that says how.
need_packages() {
  local what=$1
  shift
  if [[ ${VF_INSTALL:-} == 1 && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    say "installing $*"
    mkdir -p .cache
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
      >.cache/apt.log 2>&1 || { tail -n 20 .cache/apt.log >&2; die "apt-get could not install $*"; }
  else
    die "$what: as root, apt-get install $*"
  fi
}

# The first Python that is new enough; a command that is there may still be a shim for nothing, so each is tried.
find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

digest() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

make_environment() { # make_environment LOCK...
  local python made options=() lock
  made=$(cat .venv/voicefleet-stamp 2>/dev/null || true)
  # What it is developed with is enough to run it.
  if [[ -x .venv/bin/python && ${made#* } == "$PWD" &&
    (${made%% *} == $(digest pyproject.toml "$@") || ${made%% *} == $(digest pyproject.toml requirements-dev.lock)) ]]; then
    return
  fi
  # Its commands name the path that it was made at.
  if [[ -n $made && ${made#* } != "$PWD" ]]; then
    rm -rf .venv
  fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    find_python >/dev/null || need_packages "Python 3.11 or newer is missing" python3 python3-venv ca-certificates
    python=$(find_python) || die "this system has no Python 3.11 or newer; it needs Debian 12, Ubuntu 24.04 or newer"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
      need_packages "$python cannot make virtual environments" \
        "$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  say "installing what $* names (once; a minute or two)"
  for lock in "$@"; do options+=(-r "$lock"); done
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes "${options[@]}" >&2 ||
    die "could not install what $* names (see above)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . >&2 ||
    die "could not install voicefleet itself (see above)"
  printf '%s\n' "$(digest pyproject.toml "$@") $PWD" >.venv/voicefleet-stamp
}

# What a script calls to have `python` and the project's tools.
environment() { # environment [to_run]
  local locks=(requirements-dev.lock)
  [[ ${1:-} != to_run ]] || locks=(requirements.lock requirements-build.lock)
  # With it, not even Python starts here, so nothing later could say so.
  [[ ! -e operator/__init__.py ]] ||
    die "operator/__init__.py: must not exist: it makes a package that hides the standard library's operator"
  mkdir -p .cache
  {
    flock 9
    make_environment "${locks[@]}"
  } 9>.cache/environment.lock
  export PATH="$PWD/.venv/bin:$PATH"
}
