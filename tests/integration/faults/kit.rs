//! kit/do@1 in Rust: keeps the contract. What of bellwire_plugin.h it uses is written down again here, field by field. Built by test_plugin_kit.py.
use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr::{null, null_mut};

#[repr(C)]
pub struct Call {
    size: usize,
    action: *const c_char,
    input: *const c_char,
    input_len: usize,
    idempotency_key: *const c_char,
    run: *const c_char,
    step: *const c_char,
    attempt: u32,
    timeout_ms: i64,
    data: *mut c_void,
    is_once: bool,
    heartbeat_ms: i64,
    callback_url: *const c_char,
}

#[repr(C)]
pub struct Outcome {
    size: usize,
    outcome: c_int,
    output: *const c_char,
    output_len: usize,
    code: *const c_char,
    message: *const c_char,
    retry_after_ms: i64,
    is_doubtful: bool,
    within_ms: i64,
}

#[repr(C)]
pub struct Host {
    size: usize,
    abi: u32,
    opaque: *mut c_void,
    complete: extern "C" fn(*const Host, *mut Call, *const Outcome),
    log: extern "C" fn(*const Host, *const Call, c_int, *const c_char),
    secret: extern "C" fn(*const Host, *const Call, *const c_char) -> *const c_char,
    watch_fd: extern "C" fn(*const Host, c_int, c_int, extern "C" fn(*mut c_void, c_int, c_int), *mut c_void) -> *mut c_void,
    unwatch: extern "C" fn(*const Host, *mut c_void),
    timer: extern "C" fn(*const Host, i64, extern "C" fn(*mut c_void), *mut c_void) -> *mut c_void,
    cancel_timer: extern "C" fn(*const Host, *mut c_void),
}

#[repr(C)]
pub struct Plugin {
    size: usize,
    abi: u32,
    manifest: *const c_char,
    init: extern "C" fn(*const Host, *const c_char, *mut c_char, usize) -> *mut c_void,
    execute: extern "C" fn(*mut c_void, *mut Call),
    cancel: extern "C" fn(*mut c_void, *mut Call),
    fini: extern "C" fn(*mut c_void),
}
unsafe impl Sync for Plugin {}

const OK: c_int = 0;
const FAIL: c_int = 2;

struct Work {
    host: *const Host,
    call: *mut Call,
    timer: *mut c_void,
}

fn end(host: *const Host, call: *mut Call, outcome: c_int, text: &CStr) {
    let is_ok = outcome == OK;
    let result = Outcome {
        size: std::mem::size_of::<Outcome>(),
        outcome,
        output: if is_ok { text.as_ptr() } else { null() },
        output_len: if is_ok { text.to_bytes().len() } else { 0 },
        code: if is_ok { null() } else { text.as_ptr() },
        message: if is_ok { null() } else { c"it was given up".as_ptr() },
        retry_after_ms: 0,
        is_doubtful: false,
        within_ms: 0,
    };
    unsafe {
        if !(*call).data.is_null() {
            drop(Box::from_raw((*call).data as *mut Work));
            (*call).data = null_mut();
        }
        ((*host).complete)(host, call, &result);
    }
}

extern "C" fn finish(arg: *mut c_void) {
    let work = unsafe { &*(arg as *const Work) };
    end(work.host, work.call, OK, c"{\"done\":true}");
}

extern "C" fn init(host: *const Host, _config: *const c_char, _error: *mut c_char, _size: usize) -> *mut c_void {
    host as *mut c_void
}

extern "C" fn execute(instance: *mut c_void, call: *mut Call) {
    let host = instance as *const Host;
    let input = unsafe { std::slice::from_raw_parts((*call).input as *const u8, (*call).input_len) };
    if !String::from_utf8_lossy(input).contains("\"slow\":true") {
        end(host, call, OK, c"{\"done\":true}");
        return;
    }
    let work = Box::into_raw(Box::new(Work { host, call, timer: null_mut() }));
    unsafe {
        (*call).data = work as *mut c_void;
        (*work).timer = ((*host).timer)(host, 3_600_000, finish, work as *mut c_void);
    }
}

extern "C" fn cancel(instance: *mut c_void, call: *mut Call) {
    let host = instance as *const Host;
    unsafe {
        if (*call).data.is_null() {
            return;
        }
        ((*host).cancel_timer)(host, (*((*call).data as *const Work)).timer);
    }
    end(host, call, FAIL, c"step.cancelled");
}

extern "C" fn fini(_instance: *mut c_void) {}

#[no_mangle]
pub static bellwire_plugin: Plugin = Plugin {
    size: std::mem::size_of::<Plugin>(),
    abi: 1,
    manifest: c"{\"name\":\"kit\",\"version\":\"1.0.0\",\"actions\":[{\"name\":\"kit/do\",\"inputs\":{\"text\":{\"type\":\"string\"},\"slow\":{\"type\":\"boolean\",\"default\":false}},\"outputs\":{\"done\":{\"type\":\"boolean\",\"required\":true}}}]}".as_ptr(),
    init,
    execute,
    cancel,
    fini,
};
