# syntax=docker/dockerfile:1
# Builds the daemon and leaves nothing beside it: no shell, no package manager, no root.

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Dependencies first, so that they are built again only when they change.
COPY Cargo.toml Cargo.lock build.rs ./
RUN mkdir -p src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked && rm -rf src
COPY src src
COPY migrations migrations
RUN touch src/lib.rs src/main.rs && cargo build --release --locked --bin assent

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/assent /usr/local/bin/assent
COPY --chown=root:root policies /etc/assent/policies
COPY LICENSE /usr/share/doc/assent/LICENSE
WORKDIR /etc/assent
ENV ASSENT_LISTEN=0.0.0.0:8080 \
    ASSENT_POLICIES__PATH=/etc/assent/policies
USER nonroot
EXPOSE 8080
# There is no curl in here: the program asks its own /livez.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/assent", "health"]
ENTRYPOINT ["/usr/local/bin/assent"]
CMD ["serve"]
