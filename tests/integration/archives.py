"""Archives for tests, made by what Python has, and by libarchive where it has nothing."""
import ctypes
import io
import tarfile
import zipfile


def zipped(files):
    """`files` is {name: content}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tarred(files):
    """A gzipped one."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def untarred(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        return {member.name: archive.extractfile(member).read()
                for member in archive if member.isfile()}


def encrypted_zip(name, data):
    """Says that it is encrypted, in both of its headers; nobody can look into it."""
    archive = bytearray(zipped({name: data}))
    archive[6] |= 1
    archive[archive.index(b"PK\1\2") + 8] |= 1
    return bytes(archive)


def bomb(megabytes):
    """A small zip of zeros."""
    return zipped({"zeros.bin": bytes(megabytes << 20)})


def iso(files):
    """An image of a disk (ISO 9660)."""
    library = ctypes.CDLL("libarchive.so.13")
    for function in ("archive_write_new", "archive_entry_new"):
        getattr(library, function).restype = ctypes.c_void_p
    library.archive_write_data.restype = ctypes.c_ssize_t
    archive = ctypes.c_void_p(library.archive_write_new())
    out = ctypes.create_string_buffer(4 << 20)
    used = ctypes.c_size_t()
    library.archive_write_set_format_iso9660(archive)
    library.archive_write_open_memory(archive, out, ctypes.c_size_t(len(out)), ctypes.byref(used))
    for name, data in files.items():
        entry = ctypes.c_void_p(library.archive_entry_new())
        library.archive_entry_set_pathname(entry, name.encode())
        library.archive_entry_set_size(entry, ctypes.c_int64(len(data)))
        library.archive_entry_set_filetype(entry, ctypes.c_uint(0o100000))
        library.archive_entry_set_perm(entry, ctypes.c_uint(0o644))
        library.archive_write_header(archive, entry)
        library.archive_write_data(archive, data, ctypes.c_size_t(len(data)))
        library.archive_entry_free(entry)
    library.archive_write_close(archive)
    library.archive_write_free(archive)
    return out.raw[:used.value]
