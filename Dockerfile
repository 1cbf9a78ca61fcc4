# An image with both programs: the node by default, concordctl for the rest.
# Written for the classic builder; BuildKit takes it too.
#
# BASE is any Debian from 12 on. Where no registry is reachable, scripts/cluster
# names one that scripts/base-image made here.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
WORKDIR /src
# On their own, so that a change of the sources does not install them again.
COPY scripts/install-deps scripts/lib.sh scripts/
RUN scripts/install-deps build
COPY . .
RUN cmake -S . -B /build -G Ninja -DCONCORDKV_TESTS=OFF >/dev/null && \
    cmake --build /build --target concordkv concordctl && \
    DESTDIR=/out cmake --install /build --prefix /usr --strip \
        --component programs >/dev/null
# The packages of the libraries that the programs load: their names differ from
# one Debian to the next.
RUN ldd /out/usr/bin/* | awk '$2 == "=>" { print $3 }' | sort -u | \
    xargs readlink -f | xargs dpkg-query -S | cut -d: -f1 | sort -u \
    >/out/packages && cat /out/packages
# By it scripts/cluster finds what earlier builds have left.
LABEL concordkv.image=build

FROM ${BASE}
LABEL concordkv.image=node
COPY --from=build /out/packages /tmp/packages
# The data directory exists with its owner, so that a new volume gets it too.
RUN apt-get -q update && \
    DEBIAN_FRONTEND=noninteractive xargs apt-get -y -q install \
        --no-install-recommends </tmp/packages && \
    apt-get clean && rm -rf /var/lib/apt/lists/* /tmp/packages && \
    groupadd --system --gid 999 concordkv && \
    useradd --system --uid 999 --gid 999 --no-create-home \
        --home-dir /var/lib/concordkv --shell /usr/sbin/nologin concordkv && \
    install -d -o concordkv -g concordkv -m 0750 /var/lib/concordkv
COPY --from=build /out/usr/bin/ /usr/bin/
COPY LICENSE /usr/share/doc/concordkv/LICENSE

ENV CONCORDKV_DATA_DIR=/var/lib/concordkv \
    CONCORDKV_LISTEN_CLIENT=0.0.0.0:6379 \
    CONCORDKV_LISTEN_PEER=0.0.0.0:7379
USER concordkv
WORKDIR /var/lib/concordkv
EXPOSE 6379 7379
# Whether this process answers, not whether the cluster has a leader: a node
# that is cut off does not get better by being restarted.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["concordctl", "exec", "--direct", "--timeout", "3", \
         "--endpoints", "127.0.0.1:6379", "PING"]
# The node is PID 1, so SIGTERM reaches it: it hands leadership over and ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["concordkv"]
