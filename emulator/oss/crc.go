package oss

import "hash/crc64"

// combineCRC64 is the CRC of two runs of bytes from the CRC of each, by multiplying the first with the matrix that
// appends a zero byte, length times (the method of zlib's crc32_combine).
func combineCRC64(a, b uint64, length int64) uint64 {
	if length == 0 {
		return a
	}
	var odd, even [64]uint64
	odd[0] = crc64.ECMA // appends one zero bit
	for i := 1; i < 64; i++ {
		odd[i] = 1 << (i - 1)
	}
	square(&even, &odd) // two bits
	square(&odd, &even) // four bits
	for {
		square(&even, &odd)
		if length&1 != 0 {
			a = times(&even, a)
		}
		if length >>= 1; length == 0 {
			break
		}
		square(&odd, &even)
		if length&1 != 0 {
			a = times(&odd, a)
		}
		if length >>= 1; length == 0 {
			break
		}
	}
	return a ^ b
}

func times(m *[64]uint64, v uint64) uint64 {
	sum := uint64(0)
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func square(out, m *[64]uint64) {
	for i := range m {
		out[i] = times(m, m[i])
	}
}
