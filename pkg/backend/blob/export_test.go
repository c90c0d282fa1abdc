package blob

import "time"

// SetAnswerTimeout has s wait for answers no longer than d.
func (s *S3) SetAnswerTimeout(d time.Duration) { s.answer = d }
