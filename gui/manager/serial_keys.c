// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_keys.c - see serial_keys.h; as xterm and the Linux console do. */
#include "gui/manager/serial_keys.h"
#include <string.h>

static const struct {
    guint keyval;
    const char *text;
} keys[] = {
    {GDK_KEY_Return, "\r"},       {GDK_KEY_KP_Enter, "\r"},       {GDK_KEY_BackSpace, "\177"},
    {GDK_KEY_Tab, "\t"},          {GDK_KEY_KP_Tab, "\t"},         {GDK_KEY_ISO_Left_Tab, "\033[Z"},
    {GDK_KEY_Escape, "\033"},     {GDK_KEY_Up, "\033[A"},         {GDK_KEY_Down, "\033[B"},
    {GDK_KEY_Right, "\033[C"},    {GDK_KEY_Left, "\033[D"},       {GDK_KEY_Home, "\033[1~"},
    {GDK_KEY_Insert, "\033[2~"},  {GDK_KEY_Delete, "\033[3~"},    {GDK_KEY_End, "\033[4~"},
    {GDK_KEY_Page_Up, "\033[5~"}, {GDK_KEY_Page_Down, "\033[6~"}, {GDK_KEY_F1, "\033OP"},
    {GDK_KEY_F2, "\033OQ"},       {GDK_KEY_F3, "\033OR"},         {GDK_KEY_F4, "\033OS"},
    {GDK_KEY_F5, "\033[15~"},     {GDK_KEY_F6, "\033[17~"},       {GDK_KEY_F7, "\033[18~"},
    {GDK_KEY_F8, "\033[19~"},     {GDK_KEY_F9, "\033[20~"},       {GDK_KEY_F10, "\033[21~"},
    {GDK_KEY_F11, "\033[23~"},    {GDK_KEY_F12, "\033[24~"},
};

static gsize with_ctrl(gunichar c, char text[8])
{
    if (c == ' ')
        c = '@';
    if (g_ascii_islower((char)MIN(c, 0x7f)))
        c -= 'a' - 'A';
    if (c < '@' || c > '_')
        return 0;
    text[0] = (char)(c & 0x1f);
    return 1;
}

gsize serial_key(guint keyval, GdkModifierType state, char text[8])
{
    gunichar c = gdk_keyval_to_unicode(keyval);
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].keyval == keyval && !(state & (GDK_CONTROL_MASK | GDK_ALT_MASK)))
            return g_strlcpy(text, keys[i].text, 8);
    if (state & GDK_CONTROL_MASK)
        return state & (GDK_ALT_MASK | GDK_SHIFT_MASK) ? 0 : with_ctrl(c, text);
    if (!(state & GDK_ALT_MASK) || c < ' ' || c > '~')
        return 0;
    text[0] = '\033'; /* as "Meta" */
    text[1] = (char)c;
    return 2;
}
