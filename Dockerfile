# syntax=docker/dockerfile:1
# The binary alone on distroless: no shell, no package manager, root's rights for nobody.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin rehearsal && \
    install -D target/release/rehearsal /out/rehearsal && \
    mkdir /out/data

# glibc, the system's CA certificates (for backends without a `ca`) and time zones.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/rehearsal /usr/local/bin/rehearsal
# A new volume mounted here takes over the owner, so that uid 65532 can write to it.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /var/lib/rehearsal
USER 65532:65532
# Without a configuration the data directory is ./rehearsal-data; this is its parent.
WORKDIR /var/lib/rehearsal
VOLUME /var/lib/rehearsal
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/rehearsal"]
CMD ["serve"]
