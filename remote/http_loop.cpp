// SPDX-License-Identifier: Apache-2.0
#include "remote/http_loop.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <new>
#include <utility>

#include "base/waiting.hpp"
#include "remote/http_headers.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* closing = "the connection is being closed";
constexpr const char* given_up = "nobody waits for it any more";
constexpr const char* silent = "no answer in time; check the network and the server's address";
// Under a limit fewer blocks go at once: each ends in its time, and none begins with a burst of
// its own that is more than a second's worth of all.
constexpr std::uint64_t least_share = std::uint64_t{1} << 20U;  // bytes per second
constexpr milliseconds longest_pause{1000};
constexpr std::uint64_t longest_body = std::uint64_t{16} << 20U;

constexpr std::array known_headers = {"location",      "retry-after",     "content-type",
                                      "x-seafile-otp", "x-seafile-wiped", "date"};

struct FreeEasy {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
};

// The failures that another try may heal.
bool is_passing(CURLcode code) noexcept {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR: return true;
    default: return false;
  }
}

// The lower of those that are set; 0: none is.
std::uint64_t least_limit(const HttpOptions& options) noexcept {
  const auto [low, high] = std::minmax(options.download_limit, options.upload_limit);
  return low == 0 ? high : low;
}

// How many blocks go at once: two places are left to the small requests that people wait for.
std::size_t places_for_blocks(const HttpOptions& options) noexcept {
  const auto places = options.connections;
  const auto all = std::max<std::size_t>(1, places - std::min<std::size_t>(2, places));
  const auto limit = least_limit(options);
  return limit == 0 ? all : std::clamp<std::uint64_t>(limit / least_share, 1, all);
}

Errc errc_of(CURLcode code) noexcept {
  switch (code) {
    case CURLE_PARTIAL_FILE: return Errc::corrupt;
    case CURLE_WRITE_ERROR: return Errc::interrupted;  // the reader wants no more
    case CURLE_SSL_CACERT_BADFILE: return Errc::invalid;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT: return Errc::internal;
    default: return Errc::unreachable;
  }
}

const char* advice(CURLcode code) noexcept {
  switch (code) {
    case CURLE_PARTIAL_FILE: return "; the answer was cut short";
    case CURLE_PEER_FAILED_VERIFICATION:
      return "; the server's certificate is not trusted: if its CA is your own, name it with "
             "--ca-file";
    case CURLE_SSL_CACERT_BADFILE: return "; the CA file cannot be read";
    case CURLE_WRITE_ERROR: return "; the reader wants no more";
    default: return "; check the network and the server's address";
  }
}

}  // namespace

struct HttpLoop::Multi {
  std::unique_ptr<CURLM, FreeMulti> handle;
};

// One try of one request.  Belongs to the loop's thread from submit() until `done`.
struct HttpLoop::Transfer {
  Transfer(const HttpRequest& r, std::string u, std::chrono::seconds more, TokenBucket& its_bucket)
      : request(r),
        url(std::move(u)),
        headers(r),
        deadline(Clock::now() + r.time_limit + more),
        bucket(its_bucket) {}

  const HttpRequest& request;
  const std::string url;
  HeaderList headers;
  Clock::time_point deadline;
  TokenBucket& bucket;  // of its direction, which is that of the longer body
  std::unique_ptr<CURL, FreeEasy> easy;
  bool too_large = false;
  HttpOutcome outcome;
  std::array<char, CURL_ERROR_SIZE> error{};
  const std::shared_ptr<Heard> heard = waiting::here.heard;  // by who waits; may be null

  std::condition_variable_any finished;
  bool over = false;       // guarded by the loop's mutex, as is the next
  bool abandoned = false;  // nobody waits for it
  void hear() const noexcept {
    if (heard) heard->store(Clock::now());
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) noexcept;
  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) noexcept;
};

std::size_t HttpLoop::Transfer::on_body(char* data, std::size_t, std::size_t size,
                                        void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  auto& outcome = transfer.outcome;
  transfer.hear();
  const ByteView bytes(reinterpret_cast<const std::uint8_t*>(data), size);
  if (transfer.request.body.empty()) transfer.bucket.take(size);
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (transfer.request.sink && status >= 200 && status < 300) {
    outcome.delivered = true;
    return transfer.request.sink(bytes) ? size : 0;
  }
  auto& body = outcome.reply.body;
  const auto limit = transfer.request.max_reply;
  if (size > limit - body.size()) {
    transfer.too_large = true;
    return 0;
  }
  try {
    curl_off_t length = -1;
    curl_easy_getinfo(transfer.easy.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const auto announced = static_cast<std::uint64_t>(std::max<curl_off_t>(length, 0));
    if (body.empty()) body.reserve(std::min<std::uint64_t>(limit, announced));
    body.insert(body.end(), bytes.begin(), bytes.end());
    if (transfer.request.arrives && status >= 200 && status < 300)
      transfer.request.arrives(body, announced);
  } catch (const std::bad_alloc&) {
    transfer.too_large = true;
    return 0;
  }
  return size;
}

std::size_t HttpLoop::Transfer::on_header(char* data, std::size_t, std::size_t size,
                                          void* user) noexcept try {
  static_cast<Transfer*>(user)->hear();
  auto& headers = static_cast<Transfer*>(user)->outcome.reply.headers;
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) headers.clear();  // what came before was a 1xx answer
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || size > 4096) return size;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (std::ranges::find(known_headers, name) == known_headers.end()) return size;
  auto value = line.substr(colon + 1);
  const auto begin = value.find_first_not_of(" \t");
  const auto end = value.find_last_not_of(" \t\r\n");
  value = begin == std::string_view::npos ? "" : value.substr(begin, end - begin + 1);
  headers.emplace_back(std::move(name), value);
  return size;
} catch (const std::bad_alloc&) {
  return 0;
}

HttpLoop::HttpLoop(const HttpOptions& options, bool loopback)
    : options_(options),
      loopback_(loopback),
      bulk_places_(places_for_blocks(options)),
      multi_(std::make_unique<Multi>()),
      download_(options.download_limit),
      upload_(options.upload_limit) {
  static const auto initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised == CURLE_OK) multi_->handle.reset(curl_multi_init());
  auto* multi = multi_->handle.get();
  if (multi == nullptr) throw Error(Errc::internal, "curl: cannot be initialised");
  const auto connections = static_cast<long>(options_.connections);
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

HttpLoop::~HttpLoop() { close(); }

void HttpLoop::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  closing_.notify_all();
  thread_.request_stop();
  curl_multi_wakeup(multi_->handle.get());
  if (thread_.joinable()) thread_.join();
}

HttpOutcome HttpLoop::attempt(const HttpRequest& request, const std::string& url) {
  const auto limit = least_limit(options_);
  const auto transfer = std::make_shared<Transfer>(
      request, url, std::chrono::seconds(limit == 0 ? 0 : longest_body / limit),
      request.body.empty() ? download_ : upload_);
  std::unique_lock lock(mutex_);
  if (closed_) {
    HttpOutcome outcome;
    outcome.failure = Errc::interrupted;
    outcome.why = closing;
    return outcome;
  }
  (!request.bulk ? small_ : waiting::here.urgent ? urgent_ : bulk_).push_back(transfer);
  curl_multi_wakeup(multi_->handle.get());
  const auto over = [&] { return transfer->over; };
  const auto end = waiting::wait(transfer->finished, lock, over);
  if (end != waiting::End::done) {
    // What it borrowed is the caller's: the thread has to let go of it first.
    transfer->abandoned = abandoned_ = true;
    curl_multi_wakeup(multi_->handle.get());
    transfer->finished.wait(lock, over);
    auto& outcome = transfer->outcome;
    if (outcome.failure && end == waiting::End::late) {
      outcome.failure = Errc::unreachable;
      outcome.why = silent;
    }
  }
  return std::move(transfer->outcome);
}

std::size_t HttpLoop::queued() const {
  const std::lock_guard lock(mutex_);
  return small_.size() + urgent_.size() + bulk_.size();
}

bool HttpLoop::pause(milliseconds time) {
  const auto& waits = waiting::here;
  if (Clock::now() + time >= waits.until()) return false;
  std::unique_lock lock(mutex_);
  return !closing_.wait_for(lock, waits.stop, time, [this] { return closed_; }) &&
         !waits.stop.stop_requested();
}

void HttpLoop::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    drop_abandoned();
    admit();
    int running = 0;
    curl_multi_perform(multi_->handle.get(), &running);
    if (collect()) continue;  // slots are free: first see who is next
    curl_multi_poll(multi_->handle.get(), nullptr, 0, static_cast<int>(pause_.count()), nullptr);
  }
  for (auto& transfer : active_) {
    curl_multi_remove_handle(multi_->handle.get(), transfer->easy.get());
    finish(*transfer, Errc::interrupted, closing);
  }
  active_.clear();
  Queue queued;
  {
    const std::lock_guard lock(mutex_);  // closed_ is set: no more will come
    for (auto* queue : {&small_, &urgent_, &bulk_}) {
      std::ranges::move(*queue, std::back_inserter(queued));
      queue->clear();
    }
  }
  for (auto& transfer : queued) finish(*transfer, Errc::interrupted, closing);
}

void HttpLoop::drop_abandoned() {
  std::vector<Shared> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(abandoned_, false)) return;
    const auto take = [&](auto& from) {
      std::erase_if(from, [&](const Shared& transfer) {
        if (transfer->abandoned) dropped.push_back(transfer);
        return transfer->abandoned;
      });
    };
    take(small_);
    take(urgent_);
    take(bulk_);
    take(active_);
  }
  for (const auto& transfer : dropped) {
    if (transfer->easy) {  // it had begun
      curl_multi_remove_handle(multi_->handle.get(), transfer->easy.get());
      if (transfer->request.bulk) --active_bulk_;
    }
    finish(*transfer, Errc::interrupted, given_up);
  }
}

// Our own queue, not curl's: a transfer's timeouts begin when it does, and
// blocks leave two places for the small requests that people wait for.
void HttpLoop::admit() {
  Queue chosen, late;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (auto* queue : {&small_, &urgent_, &bulk_}) {
      while (!queue->empty() && queue->front()->deadline <= now) {
        late.push_back(std::move(queue->front()));
        queue->pop_front();
      }
    }
    const auto places = options_.connections;
    pause_ = longest_pause;
    auto count = active_.size();
    const auto take = [&](Queue& queue) {
      chosen.push_back(std::move(queue.front()));
      queue.pop_front();
      ++count;
    };
    while (!small_.empty() && count < places) take(small_);
    for (auto* queue : {&urgent_, &bulk_}) {
      while (!queue->empty() && count < places && active_bulk_ < bulk_places_) {
        const auto debt = queue->front()->bucket.wait(now);
        if (debt.count() > 0) {
          pause_ = std::min(pause_, debt);
          break;
        }
        take(*queue);
        ++active_bulk_;
      }
    }
  }
  for (auto& transfer : late) {
    finish(*transfer, Errc::unreachable, "no answer in time; too many requests are waiting");
  }
  for (const auto& transfer : chosen) start(transfer);
  if (!chosen.empty()) share_limits();
}

// What is allowed in all, in equal parts.
void HttpLoop::share_limits() {
  const auto share = [this](CURLoption option, std::uint64_t limit) {
    if (limit == 0) return;
    const auto each = std::max<std::uint64_t>(1, limit / std::max<std::size_t>(1, active_.size()));
    for (const auto& transfer : active_)
      curl_easy_setopt(transfer->easy.get(), option, static_cast<curl_off_t>(each));
  };
  share(CURLOPT_MAX_RECV_SPEED_LARGE, options_.download_limit);
  share(CURLOPT_MAX_SEND_SPEED_LARGE, options_.upload_limit);
}

void HttpLoop::start(const Shared& transfer) {
  transfer->easy.reset(curl_easy_init());
  auto* easy = transfer->easy.get();
  if (easy == nullptr || !prepare(*transfer) ||
      curl_multi_add_handle(multi_->handle.get(), easy) != CURLM_OK) {
    if (transfer->request.bulk) --active_bulk_;
    finish(*transfer, Errc::internal, "curl: a transfer cannot be set up");
    return;
  }
  active_.push_back(transfer);
  transfer->bucket.take(transfer->request.body.size());
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer.get());
}

bool HttpLoop::prepare(Transfer& transfer) {
  auto* easy = transfer.easy.get();
  const auto& request = transfer.request;
  bool good = true;
  const auto set = [&](CURLoption option, auto value) {
    good = good && curl_easy_setopt(easy, option, value) == CURLE_OK;
  };
  const auto left = std::chrono::ceil<milliseconds>(transfer.deadline - Clock::now()).count();
  const auto stall = std::chrono::ceil<std::chrono::seconds>(options_.stall_timeout).count();
  set(CURLOPT_URL, transfer.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);  // done by hand: custom headers would go along
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  if (options_.ca_file) {
    set(CURLOPT_CAINFO, options_.ca_file->c_str());
    set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  if (loopback_) set(CURLOPT_PROXY, "");  // never by way of another machine
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_PIPEWAIT, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // a hanging name server must not hold up the others
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  // Copied from while it is in the processor's cache; under a limit, as much as goes at once.
  set(CURLOPT_BUFFERSIZE, (options_.download_limit == 0 ? 64L : 16L) * 1024);
  set(CURLOPT_UPLOAD_BUFFERSIZE, (options_.upload_limit == 0 ? 512L : 16L) * 1024);
  set(CURLOPT_USERAGENT, "nacre/" NACRE_VERSION);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::max<std::int64_t>(1, stall)));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(1, left)));
  set(CURLOPT_ERRORBUFFER, transfer.error.data());
  set(CURLOPT_HTTPHEADER, transfer.headers.get());
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  if (request.method != HttpMethod::get) {
    set(CURLOPT_POST, 1L);  // sent from where it is, and again from there
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.empty() ? "" : as_text(request.body).data());
    if (request.method == HttpMethod::put) set(CURLOPT_CUSTOMREQUEST, "PUT");
    if (request.method == HttpMethod::remove) set(CURLOPT_CUSTOMREQUEST, "DELETE");
  }
  return good;
}

bool HttpLoop::collect() {
  bool any = false;
  int left = 0;
  while (auto* message = curl_multi_info_read(multi_->handle.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const auto code = message->data.result;  // `message` dies with the handle's removal
    auto* easy = message->easy_handle;
    char* mine = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &mine);
    curl_multi_remove_handle(multi_->handle.get(), easy);
    const auto at = std::ranges::find_if(
        active_, [&](const auto& t) { return static_cast<void*>(t.get()) == mine; });
    const Shared transfer = *at;
    active_.erase(at);
    if (transfer->request.bulk) --active_bulk_;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->outcome.reply.status = static_cast<int>(status);
    if (code == CURLE_OK) {
      finish(*transfer, std::nullopt, "");
    } else if (transfer->too_large) {
      finish(*transfer, Errc::corrupt, "the answer is longer than it can be");
    } else {
      transfer->outcome.passing = is_passing(code);
      const std::string_view detail(transfer->error.data());
      const std::string why(detail.empty() ? curl_easy_strerror(code) : detail);
      finish(*transfer, errc_of(code), (why + advice(code)).c_str());
    }
    any = true;
  }
  if (any) share_limits();
  return any;
}

void HttpLoop::finish(Transfer& transfer, std::optional<Errc> failure, const char* why) {
  transfer.easy.reset();  // from here on nothing borrowed is looked at
  const std::lock_guard lock(mutex_);
  transfer.outcome.failure = failure;
  transfer.outcome.why = why;
  transfer.over = true;
  transfer.finished.notify_all();
}

}  // namespace nacre
