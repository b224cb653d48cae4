// Package frames reads what callers say.
package frames

import (
	"encoding/binary"
	"fmt"
	"os"
)

// Read gives the Opus frames of a file, in which each stands behind its length (16 bits, big-endian).
func Read(file string) ([][]byte, error) {
	octets, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var read [][]byte
	for len(octets) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(octets))
		if end > len(octets) {
			return nil, fmt.Errorf("%s ends within a frame", file)
		}
		read = append(read, octets[2:end])
		octets = octets[end:]
	}
	return read, nil
}
