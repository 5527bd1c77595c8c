//! A failure as JSON.

use offloop_engine::{Addresses, Report, ShedReason};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    server: u32,
    #[serde(skip_serializing_if = "is_no_connection")]
    connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    /// Negative, as libuv's.
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscall: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<u8>,
    /// The limit for which the connection was shed.
    #[serde(skip_serializing_if = "Option::is_none")]
    shed: Option<&'static str>,
    #[serde(flatten)]
    addresses: JsonAddresses,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsonAddresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_port: Option<u16>,
}

impl From<Addresses> for JsonAddresses {
    fn from(Addresses { remote, local }: Addresses) -> Self {
        Self {
            remote_address: remote.map(|address| address.ip().to_string()),
            remote_port: remote.map(|address| address.port()),
            local_address: local.map(|address| address.ip().to_string()),
            local_port: local.map(|address| address.port()),
        }
    }
}

pub(crate) fn to_json(report: &Report) -> Vec<u8> {
    let json = Json {
        server: report.server,
        connection: report.connection,
        code: report.code,
        message: &report.message,
        errno: report.errno.map(|errno| -errno),
        syscall: report.syscall,
        alert: report.alert,
        shed: report.shed.map(ShedReason::name),
        addresses: report.addresses.into(),
    };
    serde_json::to_vec(&json).expect("strings and numbers always serialise")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_no_connection(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
