package blob

import (
	"time"

	"github.com/minio/minio-go/v7"
)

// SetResponseTimeout has s wait for answers no longer than d.
func (s *S3) SetResponseTimeout(d time.Duration) { s.responseTimeout = d }

// SetClient has the store talk to the server by way of a client.
func (s *S3) SetClient(core *minio.Core) { s.core = *core }
