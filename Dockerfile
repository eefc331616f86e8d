# The program on Debian, run by a user without rights, on the files of the folder that is mounted at /data:
#
#     docker build --tag chartbench .
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" chartbench run
FROM rust:1.95-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ENV LIBZ_SYS_STATIC=1
RUN cargo build --locked --profile dist --bin chartbench

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 chartbench \
    && install --directory --owner=chartbench /data
COPY --from=build /source/target/dist/chartbench /usr/local/bin/
COPY LICENSE-APACHE LICENSE-MIT crates/fonts/fonts/LICENSE-* /usr/share/doc/chartbench/
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["chartbench"]
