// Compressed cores and cores from a pipe become plain temporary files, sparse where they hold zeros.
#include "target/core_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/temporary.h"
#include "base/units.h"

enum { BLOCK_BYTES = 4096, CHUNK_BYTES = 1 << 20 };

// Zeros take no room on the disk, but time: a file that unpacks to more than this is no core.
static const uint64_t UNPACKED_MAX = UINT64_C(1) << 40;

static const uint8_t gzip_magic[] = {0x1f, 0x8b, 0x08};
static const uint8_t zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};

struct spool {
	int from, to;
	uint64_t size, stored, room;
	uint64_t verified; // of size: what the checksums so far have shown to be right
	bool damaged;      // what comes behind that is not what was packed
	uint64_t most;     // less than there is room for; 0: no such limit
	const char *path;
	uint8_t *in, *out; // CHUNK_BYTES each
};

bool core_is_likely(const void *bytes, size_t size)
{
	return (size >= SELFMAG && !memcmp(bytes, ELFMAG, SELFMAG)) ||
	       (size >= sizeof(gzip_magic) && !memcmp(bytes, gzip_magic, sizeof(gzip_magic))) ||
	       (size >= sizeof(zstd_magic) && !memcmp(bytes, zstd_magic, sizeof(zstd_magic)));
}

static struct error *spool_error(const struct spool *spool)
{
	return error_errno(ERROR_INTERNAL,
		"cannot unpack %s into %s; set TMPDIR to a directory with more room", spool->path,
		temporary_directory());
}

static struct error *spool_block(struct spool *spool, const uint8_t *bytes, size_t size)
{
	static const uint8_t zeros[BLOCK_BYTES];

	if (!memcmp(bytes, zeros, size)) {
		spool->size += size;
		return NULL;
	}
	if (spool->most && spool->stored + size > spool->most)
		return error_create(ERROR_TARGET,
			"%s has more bytes than the %" PRIu64 " that it may have", spool->path,
			spool->most);
	if (spool->stored + size > spool->room) {
		errno = ENOSPC;
		return spool_error(spool);
	}
	for (size_t done = 0; done < size;) {
		ssize_t part =
			pwrite(spool->to, bytes + done, size - done, (off_t)(spool->size + done));

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return spool_error(spool);
		done += (size_t)part;
	}
	spool->stored += size;
	spool->size += size;
	return NULL;
}

static struct error *spool_write(struct spool *spool, const uint8_t *bytes, size_t size)
{
	if (cancel_requested())
		return error_cancelled();
	if (spool->size + size > UNPACKED_MAX)
		return error_create(
			ERROR_TARGET, "%s unpacks to more than a core can hold", spool->path);
	for (size_t at = 0; at < size;) {
		size_t part = BLOCK_BYTES - spool->size % BLOCK_BYTES;
		struct error *err;

		if (part > size - at)
			part = size - at;
		err = spool_block(spool, bytes + at, part);
		if (err)
			return err;
		at += part;
	}
	return NULL;
}

// Bytes of the source; 0 at its end, and when it cannot be read any further.
static size_t spool_read(struct spool *spool)
{
	ssize_t length;

	do
		length = read(spool->from, spool->in, CHUNK_BYTES);
	while (length < 0 && errno == EINTR && !cancel_requested());
	return length < 0 ? 0 : (size_t)length;
}

static struct error *unpack_nothing(struct spool *spool, bool *cut)
{
	struct error *err = NULL;
	size_t length;

	while (!err && (length = spool_read(spool)))
		err = spool_write(spool, spool->in, length);
	*cut = false;
	return err;
}

static struct error *unpack_gzip(struct spool *spool, bool *cut)
{
	z_stream stream = {0};
	struct error *err = NULL;
	int status = Z_OK;
	size_t length;

	if (inflateInit2(&stream, 15 + 16) != Z_OK) // 16: with gzip's header
		return error_no_memory();
	while (!err && status >= 0 && (length = spool_read(spool))) {
		stream.next_in = spool->in;
		stream.avail_in = (unsigned)length;
		while (!err && stream.avail_in && (status == Z_OK || status == Z_STREAM_END)) {
			// Several compressed files after each other are one.
			if (status == Z_STREAM_END)
				inflateReset(&stream);
			stream.next_out = spool->out;
			stream.avail_out = CHUNK_BYTES;
			status = inflate(&stream, Z_NO_FLUSH);
			err = spool_write(spool, spool->out, CHUNK_BYTES - stream.avail_out);
			if (status == Z_STREAM_END)
				spool->verified = spool->size;
		}
	}
	inflateEnd(&stream);
	*cut = status != Z_STREAM_END;
	spool->damaged = status != Z_STREAM_END && status != Z_OK && status != Z_BUF_ERROR;
	return err;
}

static struct error *unpack_zstd(struct spool *spool, bool *cut)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	struct error *err = NULL;
	size_t length, status = 0;

	if (!stream)
		return error_no_memory();
	while (!err && !ZSTD_isError(status) && (length = spool_read(spool))) {
		ZSTD_inBuffer in = {spool->in, length, 0};
		ZSTD_outBuffer out = {spool->out, CHUNK_BYTES, 0};

		do {
			out.pos = 0;
			status = ZSTD_decompressStream(stream, &out, &in);
			err = spool_write(spool, spool->out, out.pos);
			if (!status)
				spool->verified = spool->size;
			// Status 0: the frame is complete. To go on without input would begin another one,
			// which then seems cut off.
		} while (!err && !ZSTD_isError(status) &&
			 (in.pos < in.size || (status && out.pos == out.size)));
	}
	ZSTD_freeDStream(stream);
	*cut = status != 0;
	spool->damaged = ZSTD_isError(status);
	return err;
}

// Leaves the machine a tenth of what it has left.
static uint64_t room_left(int fd)
{
	struct statvfs status;

	if (fstatvfs(fd, &status))
		return UINT64_MAX;
	return (uint64_t)status.f_bavail * status.f_frsize / 10 * 9;
}

struct error *core_spool(int *fd, const char *path, uint64_t most, bool *cut)
{
	_cleanup_free_ uint8_t *in = malloc(CHUNK_BYTES), *out = malloc(CHUNK_BYTES);
	struct spool spool = {.from = *fd, .path = path, .in = in, .out = out};
	struct error *(*unpack)(struct spool * spool, bool *cut) = unpack_nothing;
	uint8_t magic[4] = {0};
	struct stat stat;

	if (!in || !out)
		return error_no_memory();
	if (fstat(*fd, &stat))
		return error_errno(ERROR_TARGET, "cannot read %s", path);
	bool regular = S_ISREG(stat.st_mode);
	if (regular && (lseek(*fd, 0, SEEK_SET) || pread(*fd, magic, sizeof(magic), 0) < 0))
		return error_errno(ERROR_TARGET, "cannot read %s", path);
	if (!memcmp(magic, gzip_magic, sizeof(gzip_magic)))
		unpack = unpack_gzip;
	else if (!memcmp(magic, zstd_magic, sizeof(zstd_magic)))
		unpack = unpack_zstd;
	else if (regular)
		return NULL;
	spool.to = temporary_file(temporary_directory());
	if (spool.to < 0)
		return spool_error(&spool);
	spool.room = room_left(spool.to);
	spool.most = most && most < spool.room ? most : 0;
	struct error *err = unpack(&spool, cut);
	if (!err && spool.damaged) {
		// A wrong bit unpacks to wrong bytes, long before anything notices.
		spool.size = spool.verified;
		if (!spool.size)
			err = error_create(ERROR_TARGET,
				"%s is damaged: it does not unpack to what was packed", path);
	}
	if (!err && ftruncate(spool.to, (off_t)spool.size))
		err = spool_error(&spool);
	if (err) {
		close(spool.to);
		return err;
	}
	close(*fd);
	*fd = spool.to;
	return NULL;
}
