#!/bin/sh
# Creates the bucket for the originals, and the user of the programs, who may read and write in that
# bucket and nothing else. Runs before the programs start, every time, as MinIO's root user, and is
# safe to repeat.
set -eu
here=$(dirname "$0")
export MC_CONFIG_DIR=/tmp/mc "MC_HOST_store=http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@${MINIO_ADDRESS:-minio:9000}"

mc mb --ignore-existing store/gristmill
mc admin policy create store gristmill-originals "$here/minio-policy.json"
mc admin user add store "$S3_ACCESS_KEY" "$S3_SECRET_KEY"
# mc returns an error when the policy is already attached.
mc admin policy entities store --user "$S3_ACCESS_KEY" | grep -q gristmill-originals ||
  mc admin policy attach store gristmill-originals --user "$S3_ACCESS_KEY"
