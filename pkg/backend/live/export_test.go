package live

const ClaimLifetime = claimLifetime
