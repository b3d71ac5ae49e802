#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "base/strings.h"

namespace espalier {
namespace {

// Leaves no errno behind (docs/conventions.md, section 5).
class ErrnoGuard {
 public:
  ErrnoGuard() : saved_(errno) {}
  ~ErrnoGuard() { errno = saved_; }

 private:
  int saved_;
};

Status ErrnoStatus(const std::string& path, const char* what) {
  return IoError(StrCat(path, ": ", what, ": ", std::strerror(errno)));
}

Status ReadInto(int fd, const std::string& path, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::read(fd, out.data() + done, out.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(path, "cannot read");
    if (count == 0) return IoError(StrCat(path, ": became shorter while it was read"));
    done += static_cast<size_t>(count);
  }
  return Ok();
}

Status WriteBytes(int fd, const std::string& path, std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(path, "cannot write");
    done += static_cast<size_t>(count);
  }
  return Ok();
}

Status WriteAll(int fd, const std::string& path, std::span<const std::byte> bytes) {
  ESPALIER_RETURN_IF_ERROR(WriteBytes(fd, path, bytes));
  // fsync before rename: after a power cut the name must not point to an empty file.
  if (::fsync(fd) != 0) return ErrnoStatus(path, "cannot flush");
  return Ok();
}

// A device or a pipe has nothing to be kept, and must not be replaced by a file.
Status WriteInPlace(const std::string& path, std::span<const std::byte> bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  const Status status = WriteBytes(fd, path, bytes);
  ::close(fd);
  return status;
}

// Where writing to `path` ends: what a link points to, whether that is there or not.
Result<std::string> FollowLinks(std::string path) {
  constexpr int kMostLinks = 40;  // as Linux
  for (int i = 0; i < kMostLinks; ++i) {
    char target[PATH_MAX];
    const ssize_t length = ::readlink(path.c_str(), target, sizeof(target));
    if (length < 0 || length == PATH_MAX) return path;  // no link
    const std::string name(target, static_cast<size_t>(length));
    const size_t slash = path.rfind('/');
    const bool is_beside = !name.starts_with('/') && slash != std::string::npos;
    path = is_beside ? path.substr(0, slash + 1) + name : name;
  }
  return IoError(path + ": too many links");
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<std::vector<std::byte>> ReadFile(const std::string& path) {
  ErrnoGuard guard;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return IoError(path + ": is not a regular file");
  }
  std::vector<std::byte> bytes(static_cast<size_t>(info.st_size));
  const Status status = ReadInto(fd, path, bytes);
  ::close(fd);
  if (!status.ok()) return status;
  return bytes;
}

Result<std::string> ReadTextFile(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ReadFile(path));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status CheckWritable(const std::string& path) {
  ErrnoGuard guard;
  ESPALIER_ASSIGN_OR_RETURN(const std::string target, FollowLinks(path));
  struct stat info {};
  const bool exists = ::stat(target.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) return IoError(path + ": is a folder, a file name expected");
  // A file is written beside its name and renamed; a device is written to as it is.
  const bool in_place = exists && !S_ISREG(info.st_mode);
  const std::string& asked = in_place ? target : FolderOf(target);
  return ::access(asked.c_str(), W_OK) == 0 ? Ok() : ErrnoStatus(path, "cannot be written");
}

Status WriteFileAtomic(const std::string& name, std::span<const std::byte> bytes) {
  ErrnoGuard guard;
  ESPALIER_ASSIGN_OR_RETURN(const std::string path, FollowLinks(name));
  struct stat info {};
  mode_t mode = 0;  // of the file that is replaced
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return IoError(path + ": is a folder, a file name expected");
    if (!S_ISREG(info.st_mode)) return WriteInPlace(path, bytes);
    mode = info.st_mode & 07777u;
  }
  const std::string temporary = path + ".tmp" + std::to_string(::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(path, "cannot create");
  Status status = Ok();
  if (mode != 0 && ::fchmod(fd, mode) != 0) status = ErrnoStatus(path, "cannot keep its mode");
  if (status.ok()) status = WriteAll(fd, path, bytes);
  if (::close(fd) != 0 && status.ok()) status = ErrnoStatus(path, "cannot close");
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(path, "cannot rename into place");
  }
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

Status WriteTextFileAtomic(const std::string& path, std::string_view text) {
  return WriteFileAtomic(path, std::as_bytes(std::span<const char>(text.data(), text.size())));
}

}  // namespace espalier
