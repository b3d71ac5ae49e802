// RIFF, little-endian: "RIFF" | u32 bytes | "WAVE" | chunks: 4-letter name | u32 bytes | data, and
// a byte of padding if `bytes` is odd. "fmt ": u16 format (1 = PCM) | u16 channels | u32 rate | u32
// bytes a second | u16 bytes a frame | u16 bits a sample. "data": i16 samples.
#include "tasks/wav.h"

#include "base/bytes.h"
#include "base/file.h"

namespace espalier {
namespace {

struct WavFormat {
  uint16_t format;
  uint16_t channels;
  uint32_t sample_rate;
  uint32_t bytes_per_second;
  uint16_t bytes_per_frame;
  uint16_t bits;
};
static_assert(sizeof(WavFormat) == 16);

Status Expect(std::string_view field, int64_t expected, int64_t found) {
  if (found == expected) return Ok();
  return BadFormat(StrCat(field, ": ", expected, " expected, ", found, " found"));
}

Status ReadTag(std::string_view field, std::string_view expected, ByteReader* reader) {
  std::span<const std::byte> tag;
  ESPALIER_RETURN_IF_ERROR(reader->ReadBytes(field, 4, &tag));
  if (std::memcmp(tag.data(), expected.data(), 4) == 0) return Ok();
  return BadFormat(StrCat(field, ": '", expected, "' expected, something else found: no WAV file"));
}

Status Parse(ByteReader* reader, Recording* recording) {
  uint32_t riff_bytes = 0;  // often wrong; the chunks say how long they are
  ESPALIER_RETURN_IF_ERROR(ReadTag("first letters", "RIFF", reader));
  ESPALIER_RETURN_IF_ERROR(reader->Read("RIFF size", &riff_bytes));
  ESPALIER_RETURN_IF_ERROR(ReadTag("kind of RIFF", "WAVE", reader));
  while (reader->remaining() > 0) {
    std::span<const std::byte> tag;
    uint32_t bytes = 0;
    ESPALIER_RETURN_IF_ERROR(reader->ReadBytes("name of a chunk", 4, &tag));
    ESPALIER_RETURN_IF_ERROR(reader->Read("size of a chunk", &bytes));
    const std::string_view name(reinterpret_cast<const char*>(tag.data()), 4);
    std::span<const std::byte> content;
    ESPALIER_RETURN_IF_ERROR(
        reader->ReadBytes(name == "data" ? "samples" : "chunk", bytes, &content));
    if (name == "fmt ") {
      WavFormat format;
      ESPALIER_RETURN_IF_ERROR(ByteReader(content).Read("fmt", &format));
      ESPALIER_RETURN_IF_ERROR(Expect("format (1 = PCM)", 1, format.format));
      ESPALIER_RETURN_IF_ERROR(Expect("channels", 1, format.channels));
      ESPALIER_RETURN_IF_ERROR(Expect("bits of a sample", 16, format.bits));
      recording->sample_rate = format.sample_rate;
    } else if (name == "data") {
      if (recording->sample_rate == 0)
        return BadFormat("'fmt ' expected before 'data', none found");
      if (bytes % 2 != 0) {
        return BadFormat(StrCat("samples: an even number of bytes expected, ", bytes, " found"));
      }
      recording->samples.resize(bytes / 2);
      for (size_t i = 0; i < recording->samples.size(); ++i) {
        int16_t value = 0;
        std::memcpy(&value, content.data() + 2 * i, 2);
        recording->samples[i] = static_cast<float>(value) / 32768.0f;
      }
      return Ok();
    }
    if (bytes % 2 != 0) {
      ESPALIER_RETURN_IF_ERROR(reader->ReadBytes("padding of a chunk", 1, &content));
    }
  }
  return BadFormat("a 'data' chunk expected, none found");
}

}  // namespace

Result<Recording> ReadWav(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ReadFile(path));
  ByteReader reader(bytes);
  Recording recording;
  ESPALIER_RETURN_IF_ERROR(Parse(&reader, &recording).WithContext(path));
  return recording;
}

}  // namespace espalier
