package blob

import (
	"time"

	"github.com/minio/minio-go/v7"
)

// SetAnswerTimeout has s wait for answers no longer than d.
func (s *S3) SetAnswerTimeout(d time.Duration) { s.answer = d }

// Use has the store talk to the server by way of a client.
func (s *S3) Use(core *minio.Core) { s.core = *core }
