package blob

import (
	"os"
	"time"

	"github.com/minio/minio-go/v7"
)

// SetResponseTimeout sets the timeout of responses.
func (s *S3) SetResponseTimeout(d time.Duration) { s.responseTimeout = d }

// SetClient sets the client that the store uses.
func (s *S3) SetClient(core *minio.Core) { s.core = *core }

// SetSync sets the function that syncs files and directories.
func (d *Dir) SetSync(sync func(f *os.File) error) { d.sync = sync }
