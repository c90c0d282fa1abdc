#!/bin/sh
# Makes the bucket of the originals, and the user that the programs use: one that may read and write there, and nothing else. It runs
# before the programs, each time, as MinIO's root user, and may run again.
set -eu
here=$(dirname "$0")
export MC_CONFIG_DIR=/tmp/mc "MC_HOST_store=http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@${MINIO_ADDRESS:-minio:9000}"

mc mb --ignore-existing store/gristmill
mc admin policy create store gristmill-originals "$here/minio-policy.json"
mc admin user add store "$S3_ACCESS_KEY" "$S3_SECRET_KEY"
# Attaching what is attached is an error to mc.
mc admin policy entities store --user "$S3_ACCESS_KEY" | grep -q gristmill-originals ||
  mc admin policy attach store gristmill-originals --user "$S3_ACCESS_KEY"
