//! The commands that fencing needs, as commands of ipmi-rs (section 28 of the specification).

use ipmi_rs::connection::{
    Address, Channel, CompletionErrorCode, IpmiCommand, Message, NetFn, NotEnoughData,
};

/// Where a command goes if not to the controller itself: address and channel of one behind it.
pub(super) type Behind = Option<(Address, Channel)>;

/// The bytes that every answer to Get Chassis Status has at least; the specification lets a fourth be
/// left out.
const STATUS_LEN_MIN: usize = 3;

/// In the first byte of a chassis status: the machine has power.
const POWERED: u8 = 0x01;

/// Get Chassis Status: whether the machine has power.
#[derive(Clone, Copy, Debug)]
pub(super) struct GetChassisStatus(pub(super) Behind);

impl From<GetChassisStatus> for Message {
    fn from(_: GetChassisStatus) -> Self {
        Self::new_request(NetFn::Chassis, 0x01, Vec::new())
    }
}

impl IpmiCommand for GetChassisStatus {
    /// Whether the machine is powered.
    type Output = bool;
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<bool, NotEnoughData> {
        match data {
            // Half an answer is none, also when the half that is there would say "off".
            [state, ..] if data.len() >= STATUS_LEN_MIN => Ok(state & POWERED != 0),
            _ => Err(NotEnoughData),
        }
    }

    fn target(&self) -> Behind {
        self.0
    }
}

/// What Chassis Control can be asked for here. Soft ways of going off are not among them: a machine
/// that has to be fenced may not listen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Power off at once.
    Down = 0,
    /// Power on.
    Up = 1,
    /// A diagnostic interrupt to the processors.
    Diagnose = 4,
}

/// Chassis Control. Its answer says only that the controller has understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChassisControl(pub(super) Control, pub(super) Behind);

impl From<ChassisControl> for Message {
    fn from(command: ChassisControl) -> Self {
        Self::new_request(NetFn::Chassis, 0x02, vec![command.0 as u8])
    }
}

impl IpmiCommand for ChassisControl {
    type Output = ();
    type Error = NotEnoughData;

    fn parse_success_response(_: &[u8]) -> Result<(), NotEnoughData> {
        Ok(())
    }

    fn target(&self) -> Behind {
        self.1
    }
}

/// Why a controller refuses a command, if asking again can only end the same way; else `None`.
pub(super) const fn refusal(code: CompletionErrorCode) -> Option<&'static str> {
    match code {
        CompletionErrorCode::InsufficientPrivilege => {
            Some("not at this privilege: set privlvl to operator or administrator")
        }
        CompletionErrorCode::InvalidCommand | CompletionErrorCode::InvalidCommandForLun => {
            Some("it does not know this command: check target, and uuid if that was given")
        }
        CompletionErrorCode::RequestDataLenInvalid | CompletionErrorCode::InvalidDataFieldInRequest => {
            Some("it does not know this kind of power control")
        }
        CompletionErrorCode::SubFunctionDisabled => {
            Some("the command is switched off there: allow it in the controller's firmware firewall")
        }
        CompletionErrorCode::NodeBusy
        | CompletionErrorCode::ProcessingTimeout
        | CompletionErrorCode::OutOfSpace
        | CompletionErrorCode::ReservationCancelledOrInvalidId
        | CompletionErrorCode::RequestDataTruncated
        | CompletionErrorCode::RequestDataLengthLimitExceeded
        | CompletionErrorCode::ParameterOutOfRange
        | CompletionErrorCode::CannotReturnNumOfRequestedBytes
        | CompletionErrorCode::RequestedDatapointNotPresent
        | CompletionErrorCode::CommandIllegalForSensorOrRecord
        | CompletionErrorCode::ResponseUnavailable { .. }
        | CompletionErrorCode::CannotExecuteDuplicateRequest
        | CompletionErrorCode::DestinationUnavailable
        | CompletionErrorCode::CannotExecuteCommandInCurrentState
        | CompletionErrorCode::Unspecified
        | CompletionErrorCode::Oem(_)
        | CompletionErrorCode::CommandSpecific(_)
        | CompletionErrorCode::Reserved(_) => None,
    }
}
