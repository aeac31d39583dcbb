package disk

import "errors"

// Reflink is for the file systems of other systems.
func Reflink(string, string) error { return errors.ErrUnsupported }
