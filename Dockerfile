# syntax=docker/dockerfile:1
# One image for the operator and all services; image/README.md says why. scripts/image makes the same without docker.

FROM debian:bookworm-slim AS system
RUN --mount=type=bind,source=image/packages,target=/packages \
    apt-get update \
    && xargs -a /packages apt-get install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/* /var/log/* /usr/share/doc/* /usr/share/man/*

FROM system AS dependencies
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip
COPY requirements.lock /
RUN python3 -m venv --without-pip /opt/voicefleet \
    && pip --python /opt/voicefleet/bin/python install --no-compile --no-cache-dir --require-hashes -r /requirements.lock \
    && /opt/voicefleet/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/voicefleet/lib

FROM dependencies AS places
RUN apt-get install -y --no-install-recommends geoip-database
COPY scripts/geo_database.py /source/
RUN python3 /source/geo_database.py /geo/geo.mmdb

FROM dependencies AS code
RUN apt-get install -y --no-install-recommends clang libbpf-dev libc6-dev gcc python3-dev
COPY pyproject.toml README.md LICENSE /source/
COPY operator /source/operator
COPY dataplane /source/dataplane
RUN VF_COMPILED=1 pip wheel --no-deps --wheel-dir /wheel /source \
    && python3 -m zipfile -l /wheel/*.whl | grep -q voicefleet/net/bpf/relay.o \
    && python3 -m zipfile -l /wheel/*.whl | grep -q voicefleet/wire/rtp.cpython- \
    && PYTHONPATH=/usr/lib/python3/dist-packages /opt/voicefleet/bin/python -m pip install \
        --no-deps --no-compile --prefix /code /wheel/*.whl \
    && /opt/voicefleet/bin/python -m compileall -q --invalidation-mode unchecked-hash /code/lib

FROM system
COPY --from=dependencies /opt/voicefleet /opt/voicefleet
COPY --from=places /geo /usr/share/voicefleet
COPY --from=code /code /opt/voicefleet
ENV PATH=/opt/voicefleet/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 USER=voicefleet HOME=/tmp
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["voicefleet"]
CMD ["--help"]
