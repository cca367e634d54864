# cashewd, its broker and the demo's phone as images, built from a checkout. docs/containers.md says how they are used.
#
#   docker build -t cashewd .                          cashewd with the handlers of handlers/
#   docker build --target broker -t cashewd-broker .   mosquitto with the plugin
#   docker build --target phone -t cashewd-phone .     the demo's devices, to try it
#
# BASE is a Debian 12 or 13. PACKAGES are further Debian packages that the build needs: those that handlers name in their "Link:" lines.
# All images run as the user 10001 and write nothing outside of /var/lib, /keys and /tmp.
ARG BASE=debian:trixie-slim

# ---- Building ----

# hadolint ignore=DL3006
FROM ${BASE} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG PACKAGES=
WORKDIR /src
# The packages stand before the code, so that an edit installs nothing anew.
COPY examples/packages/install examples/packages/install
# Debian's own versions, with their security updates, are wanted here, and of the base's release.
# hadolint ignore=DL3008
RUN examples/packages/install program \
	&& printf '%s' "$PACKAGES" | xargs --no-run-if-empty apt-get install -y --no-install-recommends \
	&& rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release \
	&& cmake --build --preset release \
	&& DESTDIR=/out cmake --install build/release \
	&& install -m 755 build/release/cashew-device /out/usr/local/bin/ \
	&& examples/containers/libraries /out/usr/local/bin/cashewd /out/usr/local/libexec/cashewd-host /out/usr/local/bin/cashew-token \
		/out/usr/local/bin/cashew-device >/out/cashewd-packages \
	&& examples/containers/libraries /out/usr/local/lib/cashewd/cashew_broker_plugin.so >/out/broker-packages

# ---- What all images have ----

# hadolint ignore=DL3006
FROM ${BASE} AS base
# A volume gets its owner from the folder that it is mounted on first.
RUN groupadd --gid 10001 cashewd \
	&& useradd --uid 10001 --gid cashewd --no-create-home --home-dir /var/lib/cashewd --shell /usr/sbin/nologin cashewd \
	&& install --directory --owner=cashewd --group=cashewd --mode=700 /var/lib/cashewd /var/lib/broker /keys/broker /keys/cashewd /keys/phone

# ---- The broker ----

FROM base AS broker
COPY --from=build /out/broker-packages /usr/local/share/cashewd/packages
# hadolint ignore=DL3008
RUN apt-get update \
	&& xargs --arg-file=/usr/local/share/cashewd/packages apt-get install -y --no-install-recommends mosquitto openssl \
	&& rm -rf /var/lib/apt/lists/*
COPY --from=build /out/usr/local/lib/cashewd/cashew_broker_plugin.so /usr/local/lib/cashewd/
COPY examples/broker/certificates examples/broker/configuration examples/broker/mosquitto.conf.in examples/containers/broker examples/containers/keys \
	/usr/local/share/cashewd/
USER 10001:10001
WORKDIR /var/lib/broker
EXPOSE 8883 8884
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/share/cashewd/broker", "--listens"]
ENTRYPOINT ["/usr/local/share/cashewd/broker"]

# ---- cashewd, without what only the last image needs ----

FROM base AS host
COPY --from=build /out/cashewd-packages /usr/local/share/cashewd/packages
# hadolint ignore=DL3008
RUN apt-get update \
	&& xargs --arg-file=/usr/local/share/cashewd/packages apt-get install -y --no-install-recommends ca-certificates \
	&& rm -rf /var/lib/apt/lists/*
# With .debug: a crash in the log leads to a line of code.
COPY --from=build /out/usr/local/libexec/cashewd-host /usr/local/libexec/
COPY --from=build /out/usr/local/libexec/.debug/cashewd-host.debug /usr/local/libexec/.debug/
COPY --from=build /out/usr/local/bin/cashewd /out/usr/local/bin/cashew-token /usr/local/bin/
COPY --from=build /out/usr/local/bin/.debug/cashewd.debug /usr/local/bin/.debug/
USER 10001:10001
# LOG_SPOOL_DIR is there.
WORKDIR /var/lib/cashewd

FROM host AS phone
COPY --from=build /out/usr/local/bin/cashew-device /usr/local/bin/
COPY examples/containers/phone /usr/local/share/cashewd/phone
ENTRYPOINT ["/usr/local/share/cashewd/phone"]

FROM host AS cashewd
# Prometheus is another container. Nothing outside reaches the port unless it is published.
ENV METRICS_ADDR=0.0.0.0:9883
EXPOSE 9883
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["cashewd", "healthcheck"]
ENTRYPOINT ["cashewd"]
