// SPDX-License-Identifier: GPL-2.0-or-later
/* websocket.h - the server's side of a web socket (RFC 6455), over which browsers (noVNC) speak RFB.
 *
 * A web page from anywhere may have a browser open one to this host, and browsers do not ask.  So only pages that come from
 * this host itself are let in; a browser names where its page is from (Origin). */
#pragma once
#include <glib.h>
#include <stdbool.h>

enum websocket_said { WEBSOCKET_MORE, WEBSOCKET_OPEN, WEBSOCKET_REFUSED };
/* Reads the request, takes it from in, appends the answer to out. */
enum websocket_said websocket_open(GByteArray *in, GByteArray *out);
/* Takes the whole frames from in; what they carry is appended to data, what is to be said to that to out.  False: that was the
 * last, or nonsense. */
bool websocket_take(GByteArray *in, GByteArray *data, GByteArray *out);
void websocket_put(GByteArray *out, const void *data, size_t n); /* as a binary frame */
