#include "common/policy_premium.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TEXTS(array)                                                                               \
    {                                                                                              \
        array, COUNT_OF(array)                                                                     \
    }

/* --- lists; what Windows, Office and the usual archivers open by a double click --- */

static char *executable_extensions[] = {
    "exe",         "com",    "scr", "pif", "cpl",      "dll",        "ocx",   "sys",
    "drv",         "msi",    "msp", "mst", "msix",     "msixbundle", "appx",  "appxbundle",
    "application", "gadget", "apk", "ipa", "app",      "dmg",        "pkg",   "deb",
    "rpm",         "elf",    "bin", "run", "appimage", "jar",        "class", "xbap",
    "xll",         "wll",    "efi", "so",  "dylib"};
static char *executable_media[] = {"application/x-msdownload",
                                   "application/x-msdos-program",
                                   "application/x-dosexec",
                                   "application/x-executable",
                                   "application/x-sharedlib",
                                   "application/x-pie-executable",
                                   "application/x-mach-binary",
                                   "application/x-msi",
                                   "application/x-ms-installer",
                                   "application/vnd.microsoft.portable-executable",
                                   "application/vnd.android.package-archive",
                                   "application/java-archive",
                                   "application/x-java-archive",
                                   "application/java-vm",
                                   "application/x-java-applet",
                                   "application/x-apple-diskimage",
                                   "application/vnd.debian.binary-package",
                                   "application/x-debian-package",
                                   "application/x-rpm"};
static char *executable_types[] = {"application/vnd.microsoft.portable-executable",
                                   "application/x-dosexec",
                                   "application/x-executable",
                                   "application/x-sharedlib",
                                   "application/x-pie-executable",
                                   "application/x-object",
                                   "application/x-mach-binary",
                                   "application/x-msi",
                                   "application/java-archive",
                                   "application/x-java-applet",
                                   "application/vnd.android.package-archive",
                                   "application/vnd.debian.binary-package",
                                   "application/x-rpm",
                                   "application/x-ms-ne-executable",
                                   "application/x-ms-le-executable"};

static char *script_extensions[] = {
    "js",         "jse",       "mjs",       "vbs",         "vbe",
    "vb",         "wsf",       "wsh",       "wsc",         "ws",
    "hta",        "bat",       "cmd",       "ps1",         "ps1xml",
    "ps2",        "psc1",      "psc2",      "psd1",        "psm1",
    "msh",        "msh1",      "msh2",      "mshxml",      "sct",
    "shb",        "shs",       "scf",       "lnk",         "url",
    "inf",        "ins",       "isp",       "reg",         "msc",
    "job",        "jnlp",      "chm",       "hlp",         "settingcontent-ms",
    "library-ms", "search-ms", "appref-ms", "sh",          "bash",
    "csh",        "ksh",       "zsh",       "command",     "py",
    "pyc",        "pyw",       "pyz",       "pl",          "rb",
    "php",        "lua",       "tcl",       "applescript", "scpt",
    "workflow",   "desktop",   "iqy",       "slk",         "theme",
    "vhd",        "vhdx"};
static char *script_media[] = {"text/javascript",
                               "application/javascript",
                               "application/x-javascript",
                               "application/ecmascript",
                               "text/vbscript",
                               "application/hta",
                               "application/x-bat",
                               "application/x-sh",
                               "application/x-csh",
                               "application/x-shellscript",
                               "text/x-shellscript",
                               "application/x-perl",
                               "text/x-perl",
                               "text/x-python",
                               "application/x-php",
                               "text/x-php",
                               "application/x-ms-shortcut",
                               "application/x-java-jnlp-file"};
static char *script_types[] = {"text/javascript",
                               "application/javascript",
                               "text/x-msdos-batch",
                               "text/x-shellscript",
                               "text/x-perl",
                               "text/x-python",
                               "text/x-script.python",
                               "text/x-bytecode.python",
                               "text/x-php",
                               "text/x-ruby",
                               "text/x-lua",
                               "text/x-tcl",
                               "text/x-ms-regedit",
                               "application/x-ms-shortcut",
                               "application/x-mswinurl",
                               "text/vbscript",
                               "application/vnd.ms-htmlhelp",
                               "application/x-wine-extension-ini"};

static char *archive_extensions[] = {
    "zip",  "zipx", "7z",  "rar", "r00",  "r01", "tar",  "gz",   "tgz", "bz2",  "tbz",
    "tbz2", "xz",   "txz", "zst", "tzst", "lz",  "lzma", "tlz",  "lz4", "z",    "taz",
    "cab",  "arj",  "ace", "arc", "lha",  "lzh", "zoo",  "cpio", "iso", "img",  "udf",
    "vhd",  "vhdx", "wim", "xar", "alz",  "egg", "uue",  "ar",   "sit", "sitx", "hqx"};
static char *archive_media[] = {"application/zip",
                                "application/x-zip*",
                                "application/x-7z-compressed",
                                "application/vnd.rar",
                                "application/x-rar*",
                                "application/x-tar",
                                "application/gzip",
                                "application/x-gzip",
                                "application/x-bzip*",
                                "application/x-xz",
                                "application/zstd",
                                "application/x-lzip",
                                "application/x-lzma",
                                "application/x-compress*",
                                "application/vnd.ms-cab-compressed",
                                "application/x-arj",
                                "application/x-ace-compressed",
                                "application/x-lha",
                                "application/x-lzh*",
                                "application/x-cpio",
                                "application/x-iso9660-image",
                                "application/x-stuffit*"};
static char *archive_types[] = {"application/zip",
                                "application/x-7z-compressed",
                                "application/x-rar",
                                "application/gzip",
                                "application/x-bzip2",
                                "application/x-xz",
                                "application/zstd",
                                "application/x-lzma",
                                "application/x-lzip",
                                "application/x-lz4",
                                "application/x-compress",
                                "application/vnd.ms-cab-compressed",
                                "application/x-xar",
                                "application/x-archive",
                                "application/x-cpio",
                                "application/x-lzh-compressed",
                                "application/x-lharc",
                                "application/x-tar",
                                "application/x-iso9660-image",
                                "application/x-arj",
                                "application/x-ace-compressed",
                                "application/x-arc",
                                "application/x-zoo",
                                "application/x-ms-wim",
                                "application/x-stuffit"};

static char *encrypted_extensions[] = {"pgp", "gpg", "p7m",  "p7e",  "aes",
                                       "axx", "age", "kdbx", "rpmsg"};
static char *encrypted_media[] = {"application/pgp-encrypted", "application/pkcs7-mime",
                                  "application/x-pkcs7-mime",
                                  "application/x-microsoft-rpmsg-message"};
static char *encrypted_types[] = {"flag:encrypted", "application/pgp-encrypted",
                                  "application/x-keepass2"};

static char *macro_extensions[] = {"docm", "dotm", "xlsm",  "xltm",  "xlam", "xlsb", "pptm",
                                   "potm", "ppam", "ppsm",  "sldm",  "xla",  "xlm",  "ppa",
                                   "wiz",  "mdb",  "accdb", "accde", "mde",  "accda"};
static char *macro_media[] = {"application/vnd.ms-*macroenabled*"};
static char *macro_types[] = {"flag:macros", "application/vnd.ms-*macroenabled*"};

static char *office_extensions[] = {
    "doc",  "docx", "docm", "dot",  "dotx", "dotm",  "xls",     "xlsx", "xlsm", "xlsb",
    "xlt",  "xltx", "xltm", "xlam", "xla",  "ppt",   "pptx",    "pptm", "pps",  "ppsx",
    "ppsm", "pot",  "potx", "potm", "ppam", "sldx",  "sldm",    "vsd",  "vsdx", "vsdm",
    "vss",  "vst",  "mpp",  "one",  "pub",  "mdb",   "accdb",   "odt",  "ott",  "ods",
    "ots",  "odp",  "otp",  "odg",  "odf",  "odb",   "sxw",     "sxc",  "sxi",  "rtf",
    "wps",  "wpd",  "jtd",  "jtt",  "hwp",  "pages", "numbers", "key"};
static char *office_media[] = {"application/msword",
                               "application/rtf",
                               "text/rtf",
                               "application/vnd.ms-excel*",
                               "application/vnd.ms-powerpoint*",
                               "application/vnd.ms-word*",
                               "application/vnd.ms-project",
                               "application/vnd.ms-publisher",
                               "application/vnd.ms-visio*",
                               "application/vnd.visio",
                               "application/msaccess",
                               "application/x-msaccess",
                               "application/onenote",
                               "application/vnd.openxmlformats-officedocument.*",
                               "application/vnd.oasis.opendocument.*",
                               "application/vnd.sun.xml.*",
                               "application/x-js-taro",
                               "application/x-hwp"};
static char *office_types[] = {"application/x-ole-storage",
                               "application/cdfv2",
                               "application/msword",
                               "text/rtf",
                               "application/vnd.ms-excel*",
                               "application/vnd.ms-powerpoint*",
                               "application/vnd.ms-word*",
                               "application/vnd.ms-office",
                               "application/vnd.openxmlformats-officedocument.*",
                               "application/vnd.oasis.opendocument.*",
                               "application/vnd.sun.xml.*",
                               "application/x-msaccess",
                               "application/onenote",
                               "application/x-hwp"};

static char *media_extensions[] = {
    "mp3", "m4a",  "aac",  "wav", "wma",  "ogg", "oga",  "opus", "flac", "aif",  "aiff", "aifc",
    "mid", "midi", "ra",   "amr", "ape",  "au",  "mp4",  "m4v",  "mov",  "qt",   "avi",  "wmv",
    "asf", "mkv",  "webm", "flv", "f4v",  "mpg", "mpeg", "mpe",  "m2v",  "m2ts", "mts",  "ts",
    "vob", "3gp",  "3g2",  "rm",  "rmvb", "ogv", "swf",  "m3u",  "m3u8", "pls"};
static char *media_media[] = {"audio/*", "video/*", "application/ogg",
                              "application/x-shockwave-flash", "application/vnd.rn-realmedia"};
static char *media_types[] = {"audio/*",
                              "video/*",
                              "application/ogg",
                              "application/vnd.adobe.flash.movie",
                              "application/x-shockwave-flash",
                              "application/vnd.rn-realmedia"};

static char *image_extensions[] = {"jpg",  "jpeg", "jpe",  "jfif", "png", "apng", "gif", "bmp",
                                   "dib",  "tif",  "tiff", "webp", "ico", "cur",  "svg", "svgz",
                                   "heic", "heif", "avif", "jp2",  "jpx", "jxl",  "psd", "ai",
                                   "eps",  "xcf",  "pcx",  "tga",  "wmf", "emf",  "raw", "cr2",
                                   "cr3",  "nef",  "arw",  "dng",  "ppm", "pgm",  "pbm", "xpm"};
static char *image_media[] = {"image/*", "application/postscript", "application/x-photoshop"};
static char *image_types[] = {"image/*", "application/postscript"};

static char *document_extensions[] = {
    "pdf",  "ps",  "xps", "oxps", "epub", "mobi", "azw3",  "djvu",  "djv", "txt",   "text", "csv",
    "tsv",  "md",  "tex", "log",  "html", "htm",  "xhtml", "shtml", "mht", "mhtml", "xml",  "json",
    "yaml", "yml", "ics", "vcf",  "eml",  "msg",  "dwg",   "dxf",   "xdw", "xbd"};
static char *document_media[] = {"application/pdf",
                                 "application/x-pdf",
                                 "application/vnd.ms-xpsdocument",
                                 "application/oxps",
                                 "application/epub+zip",
                                 "application/x-mobipocket-ebook",
                                 "image/vnd.djvu",
                                 "text/plain",
                                 "text/csv",
                                 "text/tab-separated-values",
                                 "text/markdown",
                                 "text/html",
                                 "application/xhtml+xml",
                                 "text/xml",
                                 "application/xml",
                                 "application/json",
                                 "text/calendar",
                                 "text/vcard",
                                 "message/rfc822",
                                 "application/vnd.ms-outlook",
                                 "application/vnd.fujixerox.docuworks*",
                                 "image/vnd.dwg"};
static char *document_types[] = {"application/pdf",
                                 "application/postscript",
                                 "application/vnd.ms-xpsdocument",
                                 "application/epub+zip",
                                 "application/x-mobipocket-ebook",
                                 "image/vnd.djvu",
                                 "text/plain",
                                 "text/csv",
                                 "text/html",
                                 "text/xml",
                                 "application/json",
                                 "application/x-ndjson",
                                 "text/calendar",
                                 "text/vcard",
                                 "message/rfc822",
                                 "application/vnd.ms-outlook",
                                 "application/vnd.fujixerox.docuworks*",
                                 "image/vnd.dwg"};

static const struct policy_list lists[] = {
    {"premium.executables",
     "Programs",
     {0},
     TEXTS(executable_extensions),
     TEXTS(executable_media),
     TEXTS(executable_types)},
    {"premium.scripts",
     "Scripts and shortcuts",
     {0},
     TEXTS(script_extensions),
     TEXTS(script_media),
     TEXTS(script_types)},
    {"premium.archives",
     "Archives and disk images",
     {0},
     TEXTS(archive_extensions),
     TEXTS(archive_media),
     TEXTS(archive_types)},
    {"premium.encrypted",
     "Encrypted files",
     {0},
     TEXTS(encrypted_extensions),
     TEXTS(encrypted_media),
     TEXTS(encrypted_types)},
    {"premium.office_macros",
     "Office files with macros",
     {0},
     TEXTS(macro_extensions),
     TEXTS(macro_media),
     TEXTS(macro_types)},
    {"premium.office",
     "Office files",
     {0},
     TEXTS(office_extensions),
     TEXTS(office_media),
     TEXTS(office_types)},
    {"premium.media",
     "Sound and video",
     {0},
     TEXTS(media_extensions),
     TEXTS(media_media),
     TEXTS(media_types)},
    {"premium.images",
     "Images",
     {0},
     TEXTS(image_extensions),
     TEXTS(image_media),
     TEXTS(image_types)},
    {"premium.documents",
     "Documents",
     {0},
     TEXTS(document_extensions),
     TEXTS(document_media),
     TEXTS(document_types)},
};

const struct policy_list *policy_premium_lists(size_t *count)
{
    *count = COUNT_OF(lists);
    return lists;
}

/* --- patterns; the checks leave of what looks like one what is one --- */

static const struct policy_pattern patterns[] = {
    {"premium.payment_card", "Payment card numbers",
     "(?<![0-9])[2-6][0-9]{3}[ -]?(?:[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|[0-9]{6}[ -]?[0-9]{5}|"
     "[0-9]{6}[ -]?[0-9]{4})(?![0-9])",
     POLICY_CHECK_LUHN},
    {"premium.iban", "Bank account numbers (IBAN)",
     "\\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\\b", POLICY_CHECK_IBAN},
    {"premium.my_number", "My Number (Japan)",
     "(?<![0-9])[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9])", POLICY_CHECK_MY_NUMBER},
    {"premium.us_ssn", "Social security numbers (USA)",
     "(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])", POLICY_CHECK_US_SSN},
    {"premium.email_address", "Mail addresses",
     "[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\\.[A-Za-z0-9-]{1,63}){1,8}",
     POLICY_CHECK_EMAIL},
};

const struct policy_pattern *policy_premium_patterns(size_t *count)
{
    *count = COUNT_OF(patterns);
    return patterns;
}
