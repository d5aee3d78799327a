# telemetryd alone, for a database elsewhere; docker-compose.yml brings both.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /telemetryd ./cmd/telemetryd
RUN mkdir /uploads

FROM scratch
# For databases that are reached by TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /telemetryd /telemetryd
# Where long uploads wait until they are whole.
COPY --from=build --chown=65532:65532 /uploads /tmp
USER 65532:65532
ENV TELEMETRYD_LISTEN=0.0.0.0:3210
EXPOSE 3210
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/telemetryd", "healthcheck"]
ENTRYPOINT ["/telemetryd"]
CMD ["serve"]
