# Builds one image with all programs, and one with MinIO, which its makers distribute only as
# source. `make check` checks that the versions equal those in go.mod and scripts/lib/minio.sh.

FROM golang:1.26.8-alpine AS go
ENV CGO_ENABLED=0 GOFLAGS=-trimpath

# --- MinIO -----------------------------------------------------------------
FROM go AS minio-build
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOBIN=/out go install -ldflags '-s -w' github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c && \
    GOBIN=/out go install -ldflags '-s -w' github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9

# Alpine, not scratch: its wget is used for the health check, and its shell runs
# scripts/compose/minio.sh with mc.
FROM alpine:3.22.2 AS minio
RUN adduser -D -H -u 65532 minio && install -d -o minio -g minio -m 0700 /data
COPY --from=minio-build /out/ /usr/local/bin/
USER minio
ENV HOME=/tmp
EXPOSE 9000
ENTRYPOINT ["minio"]
CMD ["server", "--address", ":9000", "/data"]

# --- Gristmill -------------------------------------------------------------
FROM go AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -ldflags '-s -w' -o /out/ ./cmd/... && mkdir -m 1777 /out/tmp

# The last stage is what `docker build .` builds: four static programs, certificates for calls to
# model providers, and no shell.
FROM scratch AS gristmill
COPY --from=go /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /
USER 65532:65532
EXPOSE 8080
# Programs that serve HTTP answer here. A command that does not serve switches the check off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/gristmill", "doctor", "--health", "http://127.0.0.1:8080/healthz"]
CMD ["/api"]
