// SPDX-License-Identifier: GPL-2.0-or-later
/* screenshot.c - a picture as a PNG file, by libpng. */
#include "core-vmm/host/screenshot.h"
#include <errno.h>
#include <png.h>
#include <string.h>
#include <sys/stat.h>

#define SAFELY (G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE)

/* libpng leaves by longjmp(); everything it may jump over lives here. */
struct shot {
    png_structp png;
    png_infop info;
    GByteArray *bytes;
    char problem[128];
};

static void on_error(png_structp png, png_const_charp message)
{
    struct shot *s = png_get_error_ptr(png);

    g_strlcpy(s->problem, message, sizeof s->problem);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    g_byte_array_append(png_get_io_ptr(png), data, n);
}

static void on_flush(png_structp png)
{
}

static void encode(struct shot *s, const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride)
{
    png_set_write_fn(s->png, s->bytes, on_write, on_flush);
    png_set_compression_level(s->png, 3); /* screens compress well; time matters more */
    png_set_IHDR(s->png, s->info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(s->png, s->info);
    png_set_bgr(s->png);
    png_set_filler(s->png, 0, PNG_FILLER_AFTER);
    for (uint32_t y = 0; y < height; y++)
        png_write_row(s->png, (png_const_bytep)pixels + (size_t)y * stride);
    png_write_end(s->png, NULL);
}

static bool encode_all(struct shot *s, const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride)
{
    s->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, s, on_error, on_warning);
    s->info = s->png ? png_create_info_struct(s->png) : NULL;
    if (!s->info)
        return false;
    if (setjmp(png_jmpbuf(s->png)))
        return false;
    encode(s, pixels, width, height, stride);
    return true;
}

static bool write_into(const char *path, const GByteArray *bytes, GError **error)
{
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(bytes->data, 1, bytes->len, f) == bytes->len;

    if (f)
        ok = fclose(f) == 0 && ok;
    if (!ok)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    return ok;
}

/* Pipes and devices are written to, files are replaced. */
static bool save(const char *path, const GByteArray *bytes, GError **error)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return write_into(path, bytes, error);
    return g_file_set_contents_full(path, (const char *)bytes->data, bytes->len, SAFELY, 0666, error);
}

bool screenshot_write(const char *path, const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride,
                      GError **error)
{
    struct shot s = {.bytes = g_byte_array_new(), .problem = "no memory"};
    bool ok = encode_all(&s, pixels, width, height, stride);

    png_destroy_write_struct(&s.png, &s.info);
    if (!ok)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "The screenshot %s cannot be made: %s", path, s.problem);
    if (ok && !save(path, s.bytes, error)) {
        g_prefix_error(error, "The screenshot cannot be saved: ");
        ok = false;
    }
    g_byte_array_unref(s.bytes);
    return ok;
}
