# lowtide as a container.
#
#   docker build --tag lowtide .
#   docker run -d --name lowtide --group-add "$(stat -c %g /var/run/docker.sock)" -p 127.0.0.1:7077:7077 \
#     -v /var/run/docker.sock:/var/run/docker.sock -v lowtide:/var/lib/lowtide \
#     lowtide serve --config https://git.example.org/fleet.git#main:lowtide.yml
#
# The base images are arguments, so that they can come from a registry of yours, or be lowtide's own apps. The builder needs a
# Rust toolchain, 1.95 or newer, a C compiler and make (SQLite and the allocator are compiled in); the runtime is Debian or Ubuntu, not older
# than the builder's libc.
ARG BUILDER_BASE=rust:1-bookworm
ARG RUNTIME_BASE=debian:bookworm-slim

FROM ${BUILDER_BASE} AS builder
ARG PROFILE=release
# Machines of arm64 have pages of 4, 16 or 64 KiB. The allocator refuses to start where they are larger than what it was built for (in bits).
RUN [ "$(uname -m)" != aarch64 ] \
 || printf '[env]\nJEMALLOC_SYS_WITH_LG_PAGE = "16"\n' >>"${CARGO_HOME:-$HOME/.cargo}/config.toml"
WORKDIR /src
# The dependencies alone first: a change of our own sources does not build them again.
COPY Cargo.toml Cargo.lock ./
COPY crates/apt/Cargo.toml crates/apt/
COPY crates/compose/Cargo.toml crates/compose/
COPY crates/core/Cargo.toml crates/core/
COPY crates/model/Cargo.toml crates/model/
COPY crates/packages/Cargo.toml crates/packages/
RUN mkdir src crates/apt/src crates/compose/src crates/core/src crates/model/src crates/packages/src \
 && echo 'fn main() {}' >src/main.rs \
 && touch src/lib.rs crates/apt/src/lib.rs crates/compose/src/lib.rs crates/core/src/lib.rs crates/model/src/lib.rs crates/packages/src/lib.rs \
 && cargo build --profile "${PROFILE}" --locked \
 && rm -rf src crates
COPY . .
# The stand-ins of above are newer than the real sources.
RUN touch src/main.rs src/lib.rs crates/*/src/lib.rs \
 && cargo install --profile "${PROFILE}" --locked --path . --root /out --no-track \
 && { [ "${PROFILE}" = release ] || strip --strip-debug /out/bin/lowtide; }

FROM ${RUNTIME_BASE}
# Zone data is compiled in as well; the system's, which is kept fresh, comes first.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends ca-certificates git openssh-client tzdata \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log
# The group that owns the engine's socket on the host; or give it at run time with --group-add.
ARG DOCKER_GID=
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/lowtide --create-home --shell /usr/sbin/nologin lowtide \
 && chmod 700 /var/lib/lowtide \
 && if [ -n "$DOCKER_GID" ] && [ "$DOCKER_GID" != 0 ]; then \
        groupadd --force --non-unique --gid "$DOCKER_GID" engine && usermod --append --groups engine lowtide; \
    fi
COPY --from=builder /out/bin/lowtide /usr/local/bin/lowtide
# A rootless engine's socket, or one of the root group, needs another user: --user.
USER lowtide
# Inside a container's own network a published port leads to every address but loopback. On the host's network
# (--network host) there is nothing to publish: say -e LOWTIDE_LISTEN=127.0.0.1:7077 there.
ENV LOWTIDE_STATE=/var/lib/lowtide LOWTIDE_LISTEN=0.0.0.0:7077
EXPOSE 7077
VOLUME /var/lib/lowtide
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["lowtide", "health"]
ENTRYPOINT ["lowtide"]
CMD ["serve"]
