package progress

const LockTTL = lockTTL
