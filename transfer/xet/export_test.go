package xet

// SetPieceLen makes outlines come in pieces of n bytes, for tests without a blob of
// gigabytes.
func (c *Client) SetPieceLen(n int64) { c.pieceLen = n }
