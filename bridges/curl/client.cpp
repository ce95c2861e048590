#include "bridges/curl/client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "bridges/curl/rate.hpp"

namespace cartwright::curl {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto pause_max = 60s;          // of a server that asks for a pause: no longer than an act is asked again
constexpr auto connect_timeout = 5s;     // or the exchange's own, if that is shorter
constexpr int failures_of_trouble = 3;   // one after another; a single one is asked again and of no interest to operators
constexpr auto idle = 1000ms;            // libcurl's own timers, and a wake-up, end it sooner

/// libcurl's process-wide set-up, once, while it is needed.
struct Library {
  Library() {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::runtime_error("libcurl cannot be initialised");
  }
};

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

List list_of(const std::vector<std::string>& lines) {
  curl_slist* list = nullptr;
  for (const std::string& line : lines) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    if (longer == nullptr) {
      curl_slist_free_all(list);
      throw std::bad_alloc();
    }
    list = longer;
  }
  return List(list);
}

}  // namespace

class Client::Impl : public std::enable_shared_from_this<Client::Impl> {
 public:
  class OneLane;

  explicit Impl(ClientOptions options) : options_(std::move(options)) {
    static Library library;
    multi_ = curl_multi_init();
    if (multi_ == nullptr) throw std::runtime_error("libcurl cannot be initialised");
  }
  ~Impl() { curl_multi_cleanup(multi_); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void start() {
    thread_ = std::thread([this] { run(); });
  }

  void close() {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return;
      closed_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
  }

  void wake() { curl_multi_wakeup(multi_); }

  std::shared_ptr<Lane> add_lane(LaneOptions options);
  [[nodiscard]] std::vector<LaneView> views() const;

 private:
  /// One exchange that is under way.
  struct Transfer {
    CURL* easy = nullptr;
    OneLane* lane = nullptr;
    Request request;
    std::function<void(Response)> heard;
    Response response;
    bool too_long = false;
    List headers, recipients;
    curl_mime* mime = nullptr;
    char error[CURL_ERROR_SIZE] = "";

    ~Transfer() {
      if (mime != nullptr) curl_mime_free(mime);
      if (easy != nullptr) curl_easy_cleanup(easy);
    }
  };

  static std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    if (transfer.response.body.size() + size > body_bytes_max) {
      transfer.too_long = true;
      return 0;
    }
    transfer.response.body.append(data, size);
    return size;
  }

  void run();
  /// Begins what may begin; how long until something more may.
  [[nodiscard]] std::chrono::milliseconds begin_waiting();
  void begin(OneLane& lane, Request request, std::function<void(Response)> heard);
  void set_up(Transfer& transfer) const;
  void set_up_mail(Transfer& transfer) const;
  void finish(CURL* easy, CURLcode code);

  ClientOptions options_;
  CURLM* multi_ = nullptr;
  std::thread thread_;
  mutable std::mutex mutex_;  // guards what follows and the lanes' queues and figures
  bool closed_ = false;
  std::vector<std::shared_ptr<OneLane>> lanes_;
  std::map<CURL*, std::unique_ptr<Transfer>> transfers_;  // the thread's own
};

class Client::Impl::OneLane : public Lane {
 public:
  OneLane(std::weak_ptr<Impl> owner, LaneOptions options) : owner_(std::move(owner)), options_(std::move(options)), rate_(options_.per_second) {
    view_.name = options_.name;
  }

  bool submit(Request request, std::function<void(Response)> heard) override {
    auto owner = owner_.lock();
    if (!owner) return false;
    {
      std::lock_guard lock(owner->mutex_);
      if (owner->closed_ || waiting_.size() >= options_.waiting) {
        ++view_.turned_away;
        return false;
      }
      waiting_.emplace_back(std::move(request), std::move(heard));
    }
    owner->wake();
    return true;
  }

  LaneView view() const override {
    auto owner = owner_.lock();
    if (!owner) return {};
    std::lock_guard lock(owner->mutex_);
    LaneView view = view_;
    view.waiting = waiting_.size();
    return view;
  }

 private:
  friend class Client::Impl;
  std::weak_ptr<Impl> owner_;
  LaneOptions options_;
  // Guarded by the owner's mutex.
  Rate rate_;
  int failures_ = 0;  // one after another
  Clock::time_point paused_until_{};
  std::deque<std::pair<Request, std::function<void(Response)>>> waiting_;
  LaneView view_;
};

std::shared_ptr<Lane> Client::Impl::add_lane(LaneOptions options) {
  auto lane = std::make_shared<OneLane>(weak_from_this(), std::move(options));
  std::lock_guard lock(mutex_);
  lanes_.push_back(lane);
  return lane;
}

std::vector<LaneView> Client::Impl::views() const {
  std::vector<LaneView> views;
  std::lock_guard lock(mutex_);
  for (const auto& lane : lanes_) {
    views.push_back(lane->view_);
    views.back().waiting = lane->waiting_.size();
  }
  return views;
}

void Client::Impl::run() {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) break;
    }
    const auto next = begin_waiting();
    int running = 0;
    curl_multi_perform(multi_, &running);
    int left = 0;
    bool finished = false;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      finish(message->easy_handle, message->data.result);
      finished = true;
    }
    if (!finished) curl_multi_poll(multi_, nullptr, 0, static_cast<int>(next.count()), nullptr);
  }
  for (auto& [easy, transfer] : transfers_) curl_multi_remove_handle(multi_, easy);
  transfers_.clear();
}

std::chrono::milliseconds Client::Impl::begin_waiting() {
  std::vector<std::pair<OneLane*, std::pair<Request, std::function<void(Response)>>>> ready;
  std::chrono::milliseconds next = idle;
  {
    std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (const auto& lane : lanes_) {
      while (!lane->waiting_.empty() && lane->view_.under_way < lane->options_.connections) {
        auto wait = std::max(lane->rate_.wait(now), std::chrono::ceil<std::chrono::milliseconds>(lane->paused_until_ - now));
        if (wait > 0ms || !lane->rate_.take(now)) {
          next = std::min(next, std::max(wait, 1ms));
          break;
        }
        ++lane->view_.under_way;
        ready.emplace_back(lane.get(), std::move(lane->waiting_.front()));
        lane->waiting_.pop_front();
      }
    }
  }
  for (auto& [lane, exchange] : ready) begin(*lane, std::move(exchange.first), std::move(exchange.second));
  return next;
}

void Client::Impl::begin(OneLane& lane, Request request, std::function<void(Response)> heard) {
  auto transfer = std::make_unique<Transfer>();
  transfer->easy = curl_easy_init();
  if (transfer->easy == nullptr) throw std::bad_alloc();
  transfer->lane = &lane;
  transfer->request = std::move(request);
  transfer->heard = std::move(heard);
  set_up(*transfer);
  CURL* easy = transfer->easy;
  transfers_[easy] = std::move(transfer);
  curl_multi_add_handle(multi_, easy);
}

void Client::Impl::set_up(Transfer& transfer) const {
  CURL* easy = transfer.easy;
  const Request& request = transfer.request;
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, request.mail ? "smtp,smtps" : "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(std::min<std::chrono::milliseconds>(request.timeout, connect_timeout).count()));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Impl::take_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  if (!options_.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
  if (request.mail) return set_up_mail(transfer);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options_.agent.c_str());
  transfer.headers = list_of(request.headers);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers.get());
  if (request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  }
}

void Client::Impl::set_up_mail(Transfer& transfer) const {
  CURL* easy = transfer.easy;
  const Mail& mail = *transfer.request.mail;
  curl_easy_setopt(easy, CURLOPT_USE_SSL, static_cast<long>(mail.must_encrypt ? CURLUSESSL_ALL : CURLUSESSL_TRY));
  if (!mail.user.empty()) {
    curl_easy_setopt(easy, CURLOPT_USERNAME, mail.user.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, mail.password.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_MAIL_FROM, ("<" + mail.from + ">").c_str());
  transfer.recipients = list_of({"<" + mail.to + ">"});
  curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, transfer.recipients.get());
  transfer.headers = list_of(mail.headers);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers.get());  // with a MIME body these are the letter's
  transfer.mime = curl_mime_init(easy);
  curl_mimepart* part = curl_mime_addpart(transfer.mime);
  curl_mime_data(part, mail.text.data(), mail.text.size());
  curl_mime_type(part, "text/plain; charset=utf-8");
  curl_mime_encoder(part, "quoted-printable");
  curl_easy_setopt(easy, CURLOPT_MIMEPOST, transfer.mime);
}

void Client::Impl::finish(CURL* easy, CURLcode code) {
  auto found = transfers_.find(easy);
  if (found == transfers_.end()) return;
  std::unique_ptr<Transfer> transfer = std::move(found->second);
  transfers_.erase(found);
  Response& response = transfer->response;
  long status = 0;
  curl_off_t retry_after = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (!transfer->request.mail) curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
  response.status = static_cast<int>(status);
  response.complete = code == CURLE_OK;
  response.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(retry_after, 0, 86'400));
  if (!response.complete) {
    response.fault = transfer->too_long         ? "answers more than " + std::to_string(body_bytes_max) + " bytes"
                     : transfer->error[0] != 0 ? std::string(transfer->error)
                                               : std::string(curl_easy_strerror(code));
    response.fault = one_line(response.fault);
    response.body.clear();
  }
  curl_multi_remove_handle(multi_, easy);

  const bool mail = transfer->request.mail.has_value();
  const Answer answer = mail ? answer_of_smtp(response) : answer_of_http(response);
  const std::string trouble = mail ? trouble_of_smtp(response) : trouble_of_http(response);
  bool news = false;
  {
    std::lock_guard lock(mutex_);
    OneLane& lane = *transfer->lane;
    --lane.view_.under_way;
    ++(answer == Answer::done ? lane.view_.done : answer == Answer::refused ? lane.view_.refused : lane.view_.unknown);
    lane.failures_ = trouble.empty() ? 0 : lane.failures_ + 1;
    if (lane.failures_ == 0 || lane.failures_ >= failures_of_trouble) {
      news = lane.view_.trouble.empty() != trouble.empty();
      lane.view_.trouble = trouble;
    }
    if (answer == Answer::unknown && response.retry_after > 0ms)
      lane.paused_until_ = Clock::now() + std::min<std::chrono::milliseconds>(response.retry_after, pause_max);
  }
  if (news && options_.state) options_.state(transfer->lane->options_.name, trouble);
  transfer->heard(std::move(response));
}

Client::Client(ClientOptions options) : impl_(std::make_shared<Impl>(std::move(options))) { impl_->start(); }
Client::~Client() { close(); }
std::shared_ptr<Lane> Client::lane(LaneOptions options) { return impl_->add_lane(std::move(options)); }
std::vector<LaneView> Client::views() const { return impl_->views(); }
void Client::close() { impl_->close(); }

std::string fault_of_ca_file(const std::string& path) {
  if (path.empty()) return {};
  std::ifstream file(path);
  if (!file) return path + " cannot be read";
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("-----BEGIN CERTIFICATE-----")) return {};
  return path + " holds no certificate: PEM is what is needed";
}

}  // namespace cartwright::curl
