// SPDX-License-Identifier: GPL-2.0-or-later
/* crc32c.h - the Castagnoli CRC (RFC 3720, appendix B.4), of saved states, VHDX and qcow2. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t n); /* begin with crc 0 */
