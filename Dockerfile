# syntax=docker/dockerfile:1
# One image with both programs: `docker run countersign countersign-worker`, or -signaler.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches are not part of the image, so the programs are copied out in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bins \
        --package countersign-worker --package countersign-signaler \
    && install --strip -D --target-directory=/out \
        target/release/countersign-worker target/release/countersign-signaler

# The same Debian release as above: the programs are linked with its libc.
FROM debian:bookworm-20260824-slim
LABEL org.opencontainers.image.title="Countersign" \
      org.opencontainers.image.description="Human approval for Temporal" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /usr/local/bin/
COPY LICENSE /usr/share/doc/countersign/LICENSE
USER 65532:65532
# The signaler, and metrics.
EXPOSE 8088 9464
