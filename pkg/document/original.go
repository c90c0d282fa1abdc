package document

// ObjectInfo is what object storage says of an object. The tag changes whenever the
// bytes do, and may change without; it is empty where nothing is known.
type ObjectInfo struct {
	Size int64
	ETag string
}

// Original names an uploaded text in object storage, and says what its bytes
// must be.
type Original struct {
	Object string // name in object storage
	Size   int64  // bytes
	SHA256 string // lower-case hex
	ETag   string // of the object when its bytes were known to be these; empty for unknown
}
