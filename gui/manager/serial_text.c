// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_text.c - see serial_text.h; ECMA-48, and what a VT100 does beside it. */
#include "gui/manager/serial_text.h"
#include <string.h>

enum { PARAMETERS = 16, NUMBER_MOST = 9999, DROPPED_AT_ONCE = 1000, ANSWER_MOST = 256, TAB = 8 };
enum mode { PLAIN, ESCAPE, CSI, STRING, STRING_ESCAPE, CHARSET, SKIP_ONE };

struct line {
    gunichar cell[SERIAL_COLUMNS]; /* 0: nothing was written there */
};
struct serial_text {
    GArray *lines; /* struct line; the screen is the end, from top on */
    guint top;     /* its first row */
    guint row, column;
    bool wraps;                    /* the last column was written: the next character begins a line */
    guint first, last;             /* rows that scroll */
    guint saved_row, saved_column; /* by ESC 7 */
    enum mode mode;
    bool private; /* CSI with a '?' or the like */
    unsigned parameter[PARAMETERS], count;
    bool drawing;       /* letters are box drawing characters */
    gunichar character; /* of which some bytes have come */
    unsigned more;      /* and so many are to come */
    GString *answer;
    guint gone, dirty; /* see serial_text_changed() */
};

/* ---- lines ---- */

static struct line *line_of(struct serial_text *t, guint n)
{
    return &g_array_index(t->lines, struct line, n);
}

static void touch(struct serial_text *t, guint n)
{
    t->dirty = MIN(t->dirty, n);
}

static void grow(struct serial_text *t)
{
    if (t->lines->len < t->top + t->row + 1) {
        touch(t, t->lines->len);
        g_array_set_size(t->lines, t->top + t->row + 1);
    }
}

/* The one that is written to; it may be new. */
static struct line *current(struct serial_text *t)
{
    grow(t);
    touch(t, t->top + t->row);
    return line_of(t, t->top + t->row);
}

static void drop_old(struct serial_text *t)
{
    if (t->top < SERIAL_LINES_MOST + DROPPED_AT_ONCE)
        return;
    g_array_remove_range(t->lines, 0, DROPPED_AT_ONCE);
    t->top -= DROPPED_AT_ONCE;
    t->gone += DROPPED_AT_ONCE;
    t->dirty = t->dirty == G_MAXUINT ? t->dirty : t->dirty - MIN(t->dirty, DROPPED_AT_ONCE);
}

/* All rows that scroll are there. */
static void fill(struct serial_text *t)
{
    if (t->lines->len < t->top + SERIAL_ROWS)
        g_array_set_size(t->lines, t->top + SERIAL_ROWS);
    touch(t, t->top + t->first);
}

static void scroll_up(struct serial_text *t, guint first)
{
    const struct line blank = {{0}};
    fill(t);
    g_array_remove_index(t->lines, t->top + first);
    g_array_insert_val(t->lines, t->top + t->last, blank);
}

static void scroll_down(struct serial_text *t, guint first)
{
    const struct line blank = {{0}};
    fill(t);
    g_array_remove_index(t->lines, t->top + t->last);
    g_array_insert_val(t->lines, t->top + first, blank);
}

static void line_feed(struct serial_text *t)
{
    t->wraps = false;
    if (t->row != t->last) {
        t->row = MIN(t->row + 1, SERIAL_ROWS - 1);
    } else if (t->first || t->last != SERIAL_ROWS - 1) {
        scroll_up(t, t->first);
    } else {
        t->top++;
        drop_old(t);
    }
    grow(t);
}

static void line_feed_back(struct serial_text *t)
{
    t->wraps = false;
    if (t->row == t->first)
        scroll_down(t, t->first);
    else if (t->row)
        t->row--;
}

/* ---- characters ---- */

/* Of the DEC Special Graphics, from '`' on. */
static gunichar drawn(gunichar c)
{
    static const gunichar boxes[] = {0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0xb0,   0xb1,
                                     0x2424, 0x240b, 0x2518, 0x2510, 0x250c, 0x2514, 0x253c, 0x23ba,
                                     0x23bb, 0x2500, 0x23bc, 0x23bd, 0x251c, 0x2524, 0x2534, 0x252c,
                                     0x2502, 0x2264, 0x2265, 0x3c0,  0x2260, 0xa3,   0xb7};
    return c >= '`' && c - '`' < G_N_ELEMENTS(boxes) ? boxes[c - '`'] : c;
}

static void put(struct serial_text *t, gunichar c)
{
    bool turns = (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029;
    if (t->wraps) {
        t->column = 0;
        line_feed(t);
    }
    current(t)->cell[t->column] = turns || !g_unichar_validate(c) || (c >= 0x80 && c < 0xa0) ? 0xfffd
                                  : t->drawing                                               ? drawn(c)
                                                                                             : c;
    t->wraps = t->column == SERIAL_COLUMNS - 1;
    t->column = MIN(t->column + 1, SERIAL_COLUMNS - 1);
}

static void control(struct serial_text *t, uint8_t c)
{
    switch (c) {
    case '\b':
        t->column -= t->column && !t->wraps;
        t->wraps = false;
        break;
    case '\t': t->column = MIN((t->column / TAB + 1) * TAB, SERIAL_COLUMNS - 1); break;
    case '\n':
    case '\v':
    case '\f': line_feed(t); break;
    case '\r':
        t->column = 0;
        t->wraps = false;
        break;
    case 0x1b: t->mode = ESCAPE; break;
    }
}

/* UTF-8; what is none shows as such. */
static void put_byte(struct serial_text *t, uint8_t c)
{
    if (t->more && (c & 0xc0) == 0x80) {
        t->character = t->character << 6 | (c & 0x3f);
        if (!--t->more)
            put(t, t->character);
        return;
    }
    if (t->more)
        put(t, 0xfffd);
    t->more = c >= 0xf0 && c < 0xf8 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc2 && c < 0xe0 ? 1 : 0;
    t->character = c & (0x3f >> t->more);
    if (c < 0x20)
        control(t, c);
    else if (c < 0x7f)
        put(t, c);
    else if (c > 0x7f && !t->more)
        put(t, 0xfffd);
}

/* ---- erasing ---- */

static void erase(struct serial_text *t, guint row, guint from, guint to)
{
    guint n = t->top + row;
    if (n >= t->lines->len || from >= to)
        return;
    touch(t, n);
    memset(line_of(t, n)->cell + from, 0, (to - from) * sizeof(gunichar));
}

static void erase_line(struct serial_text *t, unsigned how)
{
    erase(t, t->row, how ? 0 : t->column, how == 1 ? t->column + 1 : SERIAL_COLUMNS);
}

static void erase_screen(struct serial_text *t, unsigned how)
{
    guint from = how ? 0 : t->row + 1, to = how == 1 ? t->row : SERIAL_ROWS;
    for (guint row = from; row < to; row++)
        erase(t, row, 0, SERIAL_COLUMNS);
    if (how < 2)
        erase_line(t, how);
}

/* Characters to the right of the cursor move: by n to the left, or to the right. */
static void shift(struct serial_text *t, unsigned n, bool left)
{
    gunichar *at = current(t)->cell + t->column;
    guint room = SERIAL_COLUMNS - t->column, by = MIN(n, room);
    if (left)
        memmove(at, at + by, (room - by) * sizeof *at);
    else
        memmove(at + by, at, (room - by) * sizeof *at);
    memset(left ? at + room - by : at, 0, by * sizeof *at);
}

static void shift_lines(struct serial_text *t, unsigned n, bool up)
{
    if (t->row < t->first || t->row > t->last)
        return;
    for (n = MIN(n, SERIAL_ROWS); n; n--)
        (up ? scroll_up : scroll_down)(t, t->row);
}

/* ---- sequences ---- */

static unsigned parameter(const struct serial_text *t, unsigned n, unsigned otherwise)
{
    return n < t->count && t->parameter[n] ? t->parameter[n] : otherwise;
}

static void move_to(struct serial_text *t, int row, int column)
{
    t->row = (guint)CLAMP(row, 0, SERIAL_ROWS - 1);
    t->column = (guint)CLAMP(column, 0, SERIAL_COLUMNS - 1);
    t->wraps = false;
    grow(t);
}

static void set_region(struct serial_text *t)
{
    unsigned first = parameter(t, 0, 1), last = parameter(t, 1, SERIAL_ROWS);
    if (first >= last || last > SERIAL_ROWS)
        return;
    t->first = first - 1;
    t->last = last - 1;
    move_to(t, 0, 0);
}

static void report(struct serial_text *t, unsigned what)
{
    if (t->answer->len > ANSWER_MOST)
        return;
    if (what == 5)
        g_string_append(t->answer, "\033[0n");
    else if (what == 6)
        g_string_append_printf(t->answer, "\033[%u;%uR", t->row + 1, t->column + 1);
}

static void save_cursor(struct serial_text *t)
{
    t->saved_row = t->row;
    t->saved_column = t->column;
}

/* Another screen, as editors want it: what is on this one goes on above it. */
static void fresh_screen(struct serial_text *t)
{
    t->top = t->lines->len;
    t->row = t->column = t->first = 0;
    t->last = SERIAL_ROWS - 1;
    drop_old(t);
    grow(t);
}

static void csi_private(struct serial_text *t, uint8_t c)
{
    unsigned what = parameter(t, 0, 0);
    if ((c == 'h' || c == 'l') && (what == 47 || what == 1047 || what == 1049))
        fresh_screen(t);
}

static void csi_edit(struct serial_text *t, uint8_t c)
{
    unsigned n = parameter(t, 0, 1), how = parameter(t, 0, 0);
    switch (c) {
    case 'J': erase_screen(t, how); break;
    case 'K': erase_line(t, how); break;
    case 'X': erase(t, t->row, t->column, MIN(t->column + n, SERIAL_COLUMNS)); break;
    case 'P': shift(t, n, true); break;
    case '@': shift(t, n, false); break;
    case 'M': shift_lines(t, n, true); break;
    case 'L': shift_lines(t, n, false); break;
    case 'r': set_region(t); break;
    case 'n': report(t, how); break;
    case 's': save_cursor(t); break;
    case 'u': move_to(t, (int)t->saved_row, (int)t->saved_column); break;
    case 'c':
        if (t->answer->len < ANSWER_MOST)
            g_string_append(t->answer, "\033[?6c");
        break;
    }
}

static void csi(struct serial_text *t, uint8_t c)
{
    int n = (int)parameter(t, 0, 1), row = (int)t->row, column = (int)t->column;
    switch (c) {
    case 'A': move_to(t, row - n, column); break;
    case 'B': move_to(t, row + n, column); break;
    case 'C': move_to(t, row, column + n); break;
    case 'D': move_to(t, row, column - n); break;
    case 'E': move_to(t, row + n, 0); break;
    case 'F': move_to(t, row - n, 0); break;
    case 'G': move_to(t, row, n - 1); break;
    case 'd': move_to(t, n - 1, column); break;
    case 'H':
    case 'f': move_to(t, n - 1, (int)parameter(t, 1, 1) - 1); break;
    default: csi_edit(t, c);
    }
}

static void csi_byte(struct serial_text *t, uint8_t c)
{
    if (c >= '0' && c <= '9') {
        t->count = MAX(t->count, 1);
        unsigned *p = &t->parameter[t->count - 1];
        *p = MIN(*p * 10 + (c - '0'), NUMBER_MOST);
    } else if (c == ';' || c == ':') {
        t->count = MIN(MAX(t->count, 1) + 1, PARAMETERS);
        t->parameter[t->count - 1] = 0;
    } else if (c >= '<' && c <= '?') {
        t->private = true;
    } else if (c >= 0x40) {
        t->mode = PLAIN;
        (t->private ? csi_private : csi)(t, c);
    }
}

static void escape(struct serial_text *t, uint8_t c)
{
    t->mode = PLAIN;
    switch (c) {
    case '[':
        t->mode = CSI;
        t->private = false;
        t->count = 0;
        memset(t->parameter, 0, sizeof t->parameter);
        break;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_': t->mode = STRING; break;
    case '(': t->mode = CHARSET; break;
    case ')':
    case '*':
    case '+':
    case '#':
    case '%': t->mode = SKIP_ONE; break;
    case '7': save_cursor(t); break;
    case '8': move_to(t, (int)t->saved_row, (int)t->saved_column); break;
    case 'D': line_feed(t); break;
    case 'E':
        t->column = 0;
        line_feed(t);
        break;
    case 'M': line_feed_back(t); break;
    case 'c': fresh_screen(t); break;
    }
}

/* What names a window or the like is of no interest; it may end in two ways, and a line end is in none. */
static void string_byte(struct serial_text *t, uint8_t c)
{
    bool ends = c == '\a' || c == '\n' || c == '\r' || (t->mode == STRING_ESCAPE && c == '\\');
    t->mode = ends ? PLAIN : c == 0x1b ? STRING_ESCAPE : STRING;
}

static void byte(struct serial_text *t, uint8_t c)
{
    if (t->mode != PLAIN && t->mode != STRING && t->mode != STRING_ESCAPE && c < 0x20) { /* as a terminal: at once */
        t->mode = c == 0x18 || c == 0x1a ? PLAIN : t->mode;
        control(t, c);
        return;
    }
    switch (t->mode) {
    case PLAIN: put_byte(t, c); break;
    case ESCAPE: escape(t, c); break;
    case CSI: csi_byte(t, c); break;
    case STRING:
    case STRING_ESCAPE: string_byte(t, c); break;
    case CHARSET:
        t->drawing = c == '0';
        t->mode = PLAIN;
        break;
    case SKIP_ONE: t->mode = PLAIN; break;
    }
}

/* ---- */

void serial_text_put(struct serial_text *t, const uint8_t *data, gsize n)
{
    for (gsize i = 0; i < n; i++)
        byte(t, data[i]);
}

guint serial_text_count(const struct serial_text *t)
{
    return t->lines->len;
}

char *serial_text_line(const struct serial_text *t, guint n)
{
    const struct line *l = &g_array_index(t->lines, struct line, n);
    GString *s = g_string_new(NULL);
    guint length = SERIAL_COLUMNS;
    while (length && (!l->cell[length - 1] || l->cell[length - 1] == ' '))
        length--;
    for (guint i = 0; i < length; i++)
        g_string_append_unichar(s, l->cell[i] ? l->cell[i] : ' ');
    return g_string_free(s, FALSE);
}

void serial_text_cursor(const struct serial_text *t, guint *line, guint *column)
{
    *line = t->top + t->row;
    *column = t->column;
}

void serial_text_changed(struct serial_text *t, guint *gone, guint *first)
{
    *gone = t->gone;
    *first = MIN(t->dirty, t->lines->len);
    t->gone = 0;
    t->dirty = G_MAXUINT;
}

char *serial_text_answer(struct serial_text *t)
{
    if (!t->answer->len)
        return NULL;
    char *text = g_strdup(t->answer->str);
    g_string_truncate(t->answer, 0);
    return text;
}

struct serial_text *serial_text_new(void)
{
    struct serial_text *t = g_new0(struct serial_text, 1);
    t->lines = g_array_new(FALSE, TRUE, sizeof(struct line));
    t->last = SERIAL_ROWS - 1;
    t->answer = g_string_new(NULL);
    grow(t);
    return t;
}

void serial_text_free(struct serial_text *t)
{
    if (!t)
        return;
    g_array_unref(t->lines);
    g_string_free(t->answer, TRUE);
    g_free(t);
}
