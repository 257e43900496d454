"""The cabinet's simulator model, from the arm and the cabinet in gymnasium-robotics' kitchen; see `cabinet`."""

from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import quoteattr

import mujoco
import numpy as np

BASE_JOINTS = ["base_x", "base_y", "base_heading", "base_lift"]
ARM_JOINTS = [f"robot:panda0_joint{number}" for number in range(1, 8)]
FINGER_JOINTS = ["robot:panda0_finger_joint1", "robot:panda0_finger_joint2"]
FINGER_BODIES = ["panda0_leftfinger", "panda0_rightfinger"]
DOOR_JOINTS = ["left_hinge_cabinet", "right_hinge_cabinet"]  # door 0, door 1
HEIGHT = 1e-4  # of the base's lift at the start
FROZEN = np.array([-1.1, 0.0, 0.0, HEIGHT])  # x, y, heading, lift in `sparse`
GRIP = 1.5  # friction of the fingers


def build(mobile: bool) -> mujoco.MjModel:
    """The model, whose base drives or does not exist. It has no gravity: the arm is gravity compensated, and upright
    hinges carry all else that moves."""
    spec = mujoco.MjSpec.from_string(scene(mobile))
    for name in ARM_JOINTS + FINGER_JOINTS:  # actuators are all that resists them
        spec.joint(name).damping = 0.0
        spec.joint(name).armature = 0.0
    for name in FINGER_BODIES:
        for geom in spec.body(name).geoms:
            geom.friction[0] = GRIP
    left = spec.joint(DOOR_JOINTS[0])  # opens towards negative angles in the kitchen
    left.axis, left.range = [0.0, 0.0, -1.0], [0.0, 1.57]
    return spec.compile()


def scene(mobile: bool) -> str:
    """Floor, carriage, arm, cabinet and actuators as MuJoCo's XML. The carriage's masses and limits and the arm's
    mount, sideways on the right of a torso, are those of ManiSkill2's mobile_panda_single_arm.urdf."""
    x, y, _, lift = FROZEN
    place = "0 0 0" if mobile else f"{x} {y} {lift}"
    joints = """
        <joint name="base_x" type="slide" axis="1 0 0" limited="true" range="-10 10"/>
        <joint name="base_y" type="slide" axis="0 1 0" limited="true" range="-10 10"/>
        <joint name="base_heading" type="hinge" axis="0 0 1"/>"""
    upwards = """<joint name="base_lift" type="slide" axis="0 0 1" limited="true" range="0 1.6"/>"""
    drives = "".join(f'<velocity joint="{name}" kv="1000" forcerange="-500 500"/>' for name in BASE_JOINTS)
    arm = "".join(f'<velocity joint="{name}" kv="100" forcerange="-100 100"/>' for name in ARM_JOINTS)
    fingers = "".join(f'<position joint="{name}" kp="1000" kv="100" forcerange="-100 100"/>' for name in FINGER_JOINTS)
    return f"""
<mujoco model="cabinet">
  <include file={_kitchen("franka_assets/assets.xml")}/>
  <include file={_kitchen("kitchen_assets/item_assets/hingecabinet_asset.xml")}/>
  <compiler angle="radian" autolimits="true" inertiafromgeom="auto" inertiagrouprange="3 5"
            meshdir={_kitchen("franka_assets/meshes")} texturedir={_kitchen("kitchen_assets/textures")}/>
  <option timestep="0.002" integrator="implicitfast" gravity="0 0 0"/>
  <worldbody>
    <light directional="true" pos="-1 -1 3" dir="1 1 -3"/>
    <camera name="behind" pos="-2.2 -1.2 1.8" xyaxes="0.5 -1 0 0.45 0.25 1" fovy="50"/>
    <geom type="plane" size="5 5 .1" rgba=".7 .7 .7 1"/>
    <body name="carriage" pos="{place}">{joints if mobile else ""}
      <inertial pos="0 0 0" mass="3" diaginertia="0.12 0.12 0.06"/>
      <body name="lift">{upwards if mobile else ""}
        <inertial pos="0 0 0.21" mass="13.2" diaginertia="0.05 0.05 0.04"/>
        <geom type="box" pos="0 0 0.21" size="0.15 0.1 0.21" rgba=".9 .9 .9 1"/>
        <body name="mount" pos="0.08083 0.0318 0.42" euler="1.57079 0 0">
          <include file={_kitchen("franka_assets/chain.xml")}/>
        </body>
      </body>
    </body>
    <body name="cabinet" pos="0 0 0.4" euler="0 0 -1.5707963267948966">
      <geom type="box" pos="0 0 -0.3" size="0.4 0.3 0.1" rgba=".5 .4 .3 1" contype="0"/>
      <include file={_kitchen("kitchen_assets/item_assets/hingecabinet_chain.xml")}/>
    </body>
  </worldbody>
  <contact><exclude body1="world" body2="lift"/></contact>
  <actuator>{drives if mobile else ""}{arm}{fingers}</actuator>
</mujoco>"""


def _kitchen(path: str) -> str:
    """A file of gymnasium-robotics' kitchen, as a quoted XML attribute."""
    # The package is found, not imported: importing it registers environments and warns about them.
    found = find_spec("gymnasium_robotics")
    assert found is not None
    assert found.origin is not None
    return quoteattr(str(Path(found.origin).parent / "envs" / "assets" / "kitchen_franka" / path))
