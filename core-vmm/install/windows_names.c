// SPDX-License-Identifier: GPL-2.0-or-later
/* windows_names.c - what Windows calls time zones, keyboards and locales.
 * Sources: Microsoft's lists "Default time zones" and "Default input profiles (input locales)" for Windows. */
#include "core-vmm/install/answers.h"
#include <string.h>

static const struct {
    const char *zone, *name;
} zones[] = {
    {"Africa/Cairo", "Egypt Standard Time"},
    {"Africa/Casablanca", "Morocco Standard Time"},
    {"Africa/Johannesburg", "South Africa Standard Time"},
    {"Africa/Lagos", "W. Central Africa Standard Time"},
    {"Africa/Nairobi", "E. Africa Standard Time"},
    {"America/Anchorage", "Alaskan Standard Time"},
    {"America/Argentina/Buenos_Aires", "Argentina Standard Time"},
    {"America/Bogota", "SA Pacific Standard Time"},
    {"America/Caracas", "Venezuela Standard Time"},
    {"America/Chicago", "Central Standard Time"},
    {"America/Denver", "Mountain Standard Time"},
    {"America/Detroit", "Eastern Standard Time"},
    {"America/Halifax", "Atlantic Standard Time"},
    {"America/Lima", "SA Pacific Standard Time"},
    {"America/Los_Angeles", "Pacific Standard Time"},
    {"America/Mexico_City", "Central Standard Time (Mexico)"},
    {"America/Montevideo", "Montevideo Standard Time"},
    {"America/New_York", "Eastern Standard Time"},
    {"America/Phoenix", "US Mountain Standard Time"},
    {"America/Regina", "Canada Central Standard Time"},
    {"America/Santiago", "Pacific SA Standard Time"},
    {"America/Sao_Paulo", "E. South America Standard Time"},
    {"America/St_Johns", "Newfoundland Standard Time"},
    {"America/Toronto", "Eastern Standard Time"},
    {"America/Vancouver", "Pacific Standard Time"},
    {"America/Winnipeg", "Central Standard Time"},
    {"Asia/Almaty", "Central Asia Standard Time"},
    {"Asia/Amman", "Jordan Standard Time"},
    {"Asia/Baghdad", "Arabic Standard Time"},
    {"Asia/Baku", "Azerbaijan Standard Time"},
    {"Asia/Bangkok", "SE Asia Standard Time"},
    {"Asia/Beirut", "Middle East Standard Time"},
    {"Asia/Calcutta", "India Standard Time"},
    {"Asia/Colombo", "Sri Lanka Standard Time"},
    {"Asia/Dhaka", "Bangladesh Standard Time"},
    {"Asia/Dubai", "Arabian Standard Time"},
    {"Asia/Ho_Chi_Minh", "SE Asia Standard Time"},
    {"Asia/Hong_Kong", "China Standard Time"},
    {"Asia/Irkutsk", "North Asia East Standard Time"},
    {"Asia/Jakarta", "SE Asia Standard Time"},
    {"Asia/Jerusalem", "Israel Standard Time"},
    {"Asia/Kabul", "Afghanistan Standard Time"},
    {"Asia/Karachi", "Pakistan Standard Time"},
    {"Asia/Kathmandu", "Nepal Standard Time"},
    {"Asia/Kolkata", "India Standard Time"},
    {"Asia/Kuala_Lumpur", "Singapore Standard Time"},
    {"Asia/Manila", "Singapore Standard Time"},
    {"Asia/Riyadh", "Arab Standard Time"},
    {"Asia/Seoul", "Korea Standard Time"},
    {"Asia/Shanghai", "China Standard Time"},
    {"Asia/Singapore", "Singapore Standard Time"},
    {"Asia/Taipei", "Taipei Standard Time"},
    {"Asia/Tashkent", "West Asia Standard Time"},
    {"Asia/Tbilisi", "Georgian Standard Time"},
    {"Asia/Tehran", "Iran Standard Time"},
    {"Asia/Tokyo", "Tokyo Standard Time"},
    {"Asia/Vladivostok", "Vladivostok Standard Time"},
    {"Asia/Yangon", "Myanmar Standard Time"},
    {"Asia/Yekaterinburg", "Ekaterinburg Standard Time"},
    {"Asia/Yerevan", "Caucasus Standard Time"},
    {"Atlantic/Azores", "Azores Standard Time"},
    {"Atlantic/Reykjavik", "Greenwich Standard Time"},
    {"Australia/Adelaide", "Cen. Australia Standard Time"},
    {"Australia/Brisbane", "E. Australia Standard Time"},
    {"Australia/Darwin", "AUS Central Standard Time"},
    {"Australia/Hobart", "Tasmania Standard Time"},
    {"Australia/Melbourne", "AUS Eastern Standard Time"},
    {"Australia/Perth", "W. Australia Standard Time"},
    {"Australia/Sydney", "AUS Eastern Standard Time"},
    {"Etc/UTC", "UTC"},
    {"Europe/Amsterdam", "W. Europe Standard Time"},
    {"Europe/Athens", "GTB Standard Time"},
    {"Europe/Belgrade", "Central Europe Standard Time"},
    {"Europe/Berlin", "W. Europe Standard Time"},
    {"Europe/Bratislava", "Central Europe Standard Time"},
    {"Europe/Brussels", "Romance Standard Time"},
    {"Europe/Bucharest", "GTB Standard Time"},
    {"Europe/Budapest", "Central Europe Standard Time"},
    {"Europe/Chisinau", "E. Europe Standard Time"},
    {"Europe/Copenhagen", "Romance Standard Time"},
    {"Europe/Dublin", "GMT Standard Time"},
    {"Europe/Helsinki", "FLE Standard Time"},
    {"Europe/Istanbul", "Turkey Standard Time"},
    {"Europe/Kiev", "FLE Standard Time"},
    {"Europe/Kyiv", "FLE Standard Time"},
    {"Europe/Lisbon", "GMT Standard Time"},
    {"Europe/Ljubljana", "Central Europe Standard Time"},
    {"Europe/London", "GMT Standard Time"},
    {"Europe/Luxembourg", "W. Europe Standard Time"},
    {"Europe/Madrid", "Romance Standard Time"},
    {"Europe/Minsk", "Belarus Standard Time"},
    {"Europe/Moscow", "Russian Standard Time"},
    {"Europe/Oslo", "W. Europe Standard Time"},
    {"Europe/Paris", "Romance Standard Time"},
    {"Europe/Prague", "Central Europe Standard Time"},
    {"Europe/Riga", "FLE Standard Time"},
    {"Europe/Rome", "W. Europe Standard Time"},
    {"Europe/Samara", "Russia Time Zone 3"},
    {"Europe/Sarajevo", "Central European Standard Time"},
    {"Europe/Sofia", "FLE Standard Time"},
    {"Europe/Stockholm", "W. Europe Standard Time"},
    {"Europe/Tallinn", "FLE Standard Time"},
    {"Europe/Vienna", "W. Europe Standard Time"},
    {"Europe/Vilnius", "FLE Standard Time"},
    {"Europe/Warsaw", "Central European Standard Time"},
    {"Europe/Zagreb", "Central European Standard Time"},
    {"Europe/Zurich", "W. Europe Standard Time"},
    {"Pacific/Auckland", "New Zealand Standard Time"},
    {"Pacific/Fiji", "Fiji Standard Time"},
    {"Pacific/Honolulu", "Hawaiian Standard Time"},
    {"UTC", "UTC"},
};

const char *windows_time_zone(const char *zone)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(zones); i++)
        if (!strcmp(zones[i].zone, zone))
            return zones[i].name;
    return NULL;
}

static const struct {
    const char *layout, *input;
} keyboards[] = {
    {"us", "0409:00000409"}, {"us(intl)", "0409:00020409"}, {"us(dvorak)", "0409:00010409"},
    {"gb", "0809:00000809"}, {"ie", "1809:00001809"},       {"de", "0407:00000407"},
    {"at", "0c07:00000407"}, {"ch", "0807:00000807"},       {"ch(fr)", "100c:0000100c"},
    {"fr", "040c:0000040c"}, {"be", "080c:0000080c"},       {"ca", "1009:00001009"},
    {"es", "040a:0000040a"}, {"latam", "080a:0000080a"},    {"it", "0410:00000410"},
    {"pt", "0816:00000816"}, {"br", "0416:00000416"},       {"nl", "0413:00020409"},
    {"dk", "0406:00000406"}, {"se", "041d:0000041d"},       {"no", "0414:00000414"},
    {"fi", "040b:0000040b"}, {"is", "040f:0000040f"},       {"pl", "0415:00000415"},
    {"cz", "0405:00000405"}, {"sk", "041b:0000041b"},       {"hu", "040e:0000040e"},
    {"ro", "0418:00010418"}, {"bg", "0402:00030402"},       {"hr", "041a:0000041a"},
    {"si", "0424:00000424"}, {"gr", "0408:00000408"},       {"tr", "041f:0000041f"},
    {"ru", "0419:00000419"}, {"ua", "0422:00020422"},       {"ee", "0425:00000425"},
    {"lv", "0426:00020426"}, {"lt", "0427:00010427"},       {"il", "040d:0000040d"},
    {"jp", "0411:00000411"}, {"kr", "0412:00000412"},
};

const char *windows_keyboard(const char *keyboard)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(keyboards); i++)
        if (!strcmp(keyboards[i].layout, keyboard))
            return keyboards[i].input;
    return NULL;
}

char *windows_locale(const char *locale)
{
    char *bare = g_strndup(locale, strcspn(locale, ".@"));
    if (!strchr(bare, '_')) {
        g_free(bare);
        return g_strdup("en-US");
    }
    return g_strdelimit(bare, "_", '-');
}
